-- Shows a stack frame by frame: the function, its file and line, and the kind of code it is.
SELECT frame, function, file, line, is_inline, kind, module, module_offset, symbol_note
FROM frames
WHERE is_app_frame OR frame < 3
ORDER BY est_bytes DESC, pid, callsite_id, frame
LIMIT 10;
