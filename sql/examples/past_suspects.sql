-- What leaked last night: suspects of processes that are gone, too, with the whole stack.
SELECT suspected_at, confirmed_at, state, app_frame, why, folded_stack, command, program, build_id
FROM past_suspects
ORDER BY suspected_at DESC
LIMIT 10;
