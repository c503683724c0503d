//! Prints the frames of addresses of a file, or measures how long many take and how much memory.
//!
//!   symbolize FILE ADDRESS..      addresses of the file, in hexadecimal, as `addr2line -i -f -C -e FILE` takes them
//!   symbolize --measure N FILE    N distinct addresses spread over the file's code: cold, then warm, then the rules, then memory
//!
//! Used by people and by benches/symbols/run.sh.
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Instant;

use heapql_symbols::{FrameKind, ModuleRef, Resolution, Rules, SymbolSettings, Symbols, unnamed};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--measure", count, path] => match count.parse() {
            Ok(count) => measure(path, count),
            Err(_) => usage(),
        },
        [path, addresses @ ..] if !addresses.is_empty() && !path.starts_with('-') => print(path, addresses),
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: symbolize FILE ADDRESS.. | symbolize --measure N FILE");
    ExitCode::from(2)
}

/// Build-id as binutils prints it; empty if there is none.
fn build_id(path: &str) -> Vec<u8> {
    let notes = Command::new("readelf").args(["-n", path]).output().map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&notes).into_owned();
    let id = text.split("Build ID: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default().trim().to_owned();
    (0..id.len() / 2).filter_map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).ok()).collect()
}

fn print(path: &str, addresses: &[&str]) -> ExitCode {
    let parsed: Result<Vec<u64>, _> =
        addresses.iter().map(|a| u64::from_str_radix(a.strip_prefix("0x").unwrap_or(a), 16)).collect();
    let Ok(parsed) = parsed else { return usage() };
    let path = fs::canonicalize(path).map_or_else(|_| path.to_owned(), |p| p.to_string_lossy().into_owned());
    let symbols = Symbols::new(SymbolSettings::default());
    let build_id = build_id(&path);
    let module = ModuleRef { path: &path, build_id: &build_id, pid: None };
    for (address, resolved) in parsed.iter().zip(symbols.resolve(&module, &parsed)) {
        show(&path, *address, &resolved);
    }
    ExitCode::SUCCESS
}

fn show(path: &str, address: u64, resolved: &Resolution) {
    println!("{address:#x}{}", resolved.note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default());
    for frame in &resolved.frames {
        let name = frame.function.as_ref().map_or_else(|| unnamed(path, address), |name| name.to_string());
        let (file, line) = (frame.file.as_deref().unwrap_or("??"), frame.line.unwrap_or(0));
        let kind = Rules::default().kind(path, frame.function.as_deref(), frame.file.as_deref());
        println!("    {name}{} at {file}:{line}  {kind:?}", if frame.is_inline { " (inlined)" } else { "" });
    }
}

fn measure(path: &str, count: u64) -> ExitCode {
    let Some((start, bytes)) = code(path) else {
        eprintln!("{path}: no section .text");
        return ExitCode::FAILURE;
    };
    let addresses: Vec<u64> = (0..count).map(|i| start + i * (bytes / count.max(1)).max(1)).collect();
    let symbols = Symbols::new(SymbolSettings { open_bytes: 4 << 30, ..SymbolSettings::default() });
    let build_id = build_id(path);
    let module = ModuleRef { path, build_id: &build_id, pid: None };
    let before = memory("VmRSS:");
    let mut resolved = Vec::new();
    for run in ["cold", "warm"] {
        let start = Instant::now();
        resolved = symbols.resolve(&module, &addresses);
        let named = resolved.iter().filter(|r| r.frames.iter().all(|f| f.function.is_some())).count();
        let frames: usize = resolved.iter().map(|r| r.frames.len()).sum();
        println!("{run}: {:.3} s, {named} of {count} named, {frames} frames", start.elapsed().as_secs_f64());
    }
    let (rules, start) = (Rules::default(), Instant::now());
    let kinds =
        resolved.iter().flat_map(|r| &r.frames).map(|f| rules.kind(path, f.function.as_deref(), f.file.as_deref()));
    let users = kinds.filter(|kind| *kind == FrameKind::Application).count();
    println!("rules: {:.3} s, {users} frames are the user's own", start.elapsed().as_secs_f64());
    println!("memory: peak {} MiB, at the end {} MiB, before {} MiB", memory("VmHWM:"), memory("VmRSS:"), before);
    println!("{:#?}", symbols.counts());
    ExitCode::SUCCESS
}

/// Address and size of `.text`.
fn code(path: &str) -> Option<(u64, u64)> {
    let sections = Command::new("readelf").args(["-SW", path]).output().ok()?.stdout;
    let text = String::from_utf8_lossy(&sections).into_owned();
    let line = text.lines().find(|line| line.contains(" .text "))?;
    let mut fields = line.split(" .text ").nth(1)?.split_whitespace().skip(1);
    let mut number = || u64::from_str_radix(fields.next()?, 16).ok();
    let (address, _, bytes) = (number()?, number()?, number()?);
    Some((address, bytes))
}

/// Of /proc/self/status, in MiB.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 10
}
