//! `addr2line -pCfe ./program $back_trace` names the functions that leak, in order, however the program was compiled.

use std::process::Command;

use crate::harness::{Client, Launch, Program, tool};

/// The functions of the largest stack of `stacks.c`, innermost first, as addr2line prints them.
fn functions(flags: &[&'static str]) -> Vec<String> {
    let path = Program::new("stacks.c").flags(flags).path();
    let server = Launch::run(&path, &[]).intervals(1, 1).start();
    server.ready();
    let answer = server.mysql().query(
        "SELECT back_trace, alloc_count FROM __all_virtual_malloc_sample_info \
         WHERE mod_name='glibc_malloc' AND alloc_bytes = 300 * 1237 ORDER BY alloc_bytes DESC LIMIT 10",
    );
    assert_eq!(answer.numbers("alloc_count"), [300], "{flags:?}: all objects in one row");
    let addresses: Vec<&str> = answer.column("back_trace")[0].split(' ').collect();
    let printed = tool(Command::new("addr2line").arg("-pCfe").arg(&path).args(addresses), "");
    printed.ok().lines().map(str::to_owned).collect()
}

fn assert_chain(flags: &[&'static str]) {
    let lines = functions(flags);
    assert_eq!(lines.len(), 16);
    for (line, function) in lines.iter().zip(["f6", "f5", "f4", "f3", "f2", "f1", "main"]) {
        assert!(line.starts_with(&format!("{function} at ")), "{flags:?}: {function} in {lines:#?}");
        assert!(line.contains("stacks.c:"), "{flags:?}: {lines:#?}");
    }
}

#[test]
fn pie_without_frame_pointers() {
    assert_chain(&["-fPIE", "-pie", "-fomit-frame-pointer"]);
}

#[test]
fn pie_with_frame_pointers() {
    assert_chain(&["-fPIE", "-pie", "-fno-omit-frame-pointer"]);
}

#[test]
fn fixed_address_without_frame_pointers() {
    assert_chain(&["-fno-pie", "-no-pie", "-fomit-frame-pointer"]);
}

#[test]
fn fixed_address_with_frame_pointers() {
    assert_chain(&["-fno-pie", "-no-pie", "-fno-omit-frame-pointer"]);
}

#[test]
fn unoptimised() {
    assert_chain(&["-O0"]);
}

#[test]
fn functions_of_an_unloadable_library_are_absolute_addresses() {
    let dir = crate::harness::scratch();
    let library = crate::harness::library(dir.path());
    let path = Program::new("dlopen.c").path();
    let arguments = [library.to_str().expect("a path in UTF-8"), "1"];
    let server = Launch::run(&path, &arguments).intervals(1, 1).start();
    server.ready();
    let answer = server.postgres().query(
        "SELECT back_trace FROM __all_virtual_malloc_sample_info \
         WHERE mod_name = 'glibc_malloc' AND alloc_bytes = 10 * 4099 AND alloc_count = 10",
    );
    let addresses: Vec<&str> = answer.value().split(' ').collect();
    let first = u64::from_str_radix(addresses[0].trim_start_matches("0x"), 16).expect("hexadecimal");
    assert!(first > 1 << 40, "the library's address is absolute: {addresses:?}");
    let printed = tool(Command::new("addr2line").arg("-pCfe").arg(&path).args(&addresses[1..2]), "");
    assert!(printed.ok().starts_with("main at "), "its caller is the program's: {}", printed.stdout);
}
