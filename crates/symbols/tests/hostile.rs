//! Files made to break a reader: each gives a note or a name, and the next module's answer comes all the same.
mod toolbox;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use toolbox::{build_id, compile, module, name, note, resolve, section, symbol, symbols, text};

#[test]
fn what_is_no_elf_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("empty"), "").unwrap();
    fs::write(at("text"), "#!/bin/sh\necho no\n".repeat(10)).unwrap();
    fs::write(at("short"), b"\x7fELF\x02\x01").unwrap();
    fs::write(at("foreign"), [b"\x7fELF\x01\x01".as_slice(), &[0; 100]].concat()).unwrap();
    fs::create_dir(at("directory")).unwrap();
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let cases = [
        ("empty", "it is empty"),
        ("text", "it is not an ELF file"),
        ("short", "it is not an ELF file"),
        ("foreign", "it is not a 64-bit little-endian ELF file"),
        ("directory", "it is a directory"),
        ("fifo", "it is a FIFO"),
        ("socket", "it is a socket"),
        ("loop", "symbolic link"),
    ];
    for (file, why) in cases {
        let resolved = resolve(&at(file), b"id", 1);
        assert!(
            note(&resolved).starts_with("cannot be read: ") && note(&resolved).contains(why),
            "{file}: {resolved:?}"
        );
        assert_eq!((resolved.frames.len(), name(&resolved)), (1, ""));
    }
    assert_eq!(note(&resolve(Path::new("/dev/zero"), b"id", 1)), "cannot be read: it is not a regular file");
}

/// Cut at every length, and with bytes changed all over: no panic, no hang; panics would be said in the note.
#[test]
fn truncated_and_corrupted_files() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let good = compile("g++", "inlined.cpp", at, "good", &["-O2", "-std=c++17"]);
    let packed = at.join("packed");
    toolbox::run("objcopy", &["--compress-debug-sections=zlib", text(&good), text(&packed)]);
    let id = build_id(&good);
    let (start, bytes) = section(&good, ".text");
    let addresses: Vec<u64> = (start..start + bytes).step_by(41).collect();
    let bad = at.join("bad");
    let asked = symbols(at);
    let check = |data: &[u8], case: &dyn Fn() -> String| {
        fs::write(&bad, data).unwrap();
        let resolved = asked.resolve(&module(&bad, &id, None), &addresses);
        assert_eq!(resolved.len(), addresses.len());
        for resolved in resolved {
            assert!(!resolved.frames.is_empty());
            assert!(!note(&resolved).contains("end the parser"), "{}: {resolved:?}", case());
        }
    };
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((seed >> 33) as usize) % below
    };
    for source in [&good, &packed] {
        let data = fs::read(source).unwrap();
        for cut in (0..100).map(|i| data.len() * i / 100).chain(0..70) {
            check(&data[..cut], &|| format!("{source:?} cut to {cut}"));
        }
        let headers = data.len() - 64 * 40;
        for round in 0..300 {
            let mut data = data.clone();
            for _ in 0..1 + random(20) {
                let place = match round % 3 {
                    0 => random(64),
                    1 => headers + random(64 * 40),
                    _ => random(data.len()),
                };
                // What makes another build of it is of no interest.
                data[place] = random(256) as u8;
            }
            check(&data, &|| format!("{source:?} round {round}"));
        }
    }
    // The same reader, afterwards.
    assert_eq!(name(&asked.resolve(&module(&good, &id, None), &[symbol(&good, "main").0])[0]), "main");
}

/// Sizes that are claimed: a file of 10 GB of nothing, a table and a section as long, an archive that unpacks to them.
#[test]
fn claims_are_not_allocated() {
    let directory = tempfile::tempdir().unwrap();
    let good = compile("cc", "waiting.c", directory.path(), "good", &[]);
    let (id, address) = (build_id(&good), symbol(&good, "main").0);
    let size = 10u64 << 30;
    let sections_at = u64::from_le_bytes(fs::read(&good).unwrap()[0x28..0x30].try_into().unwrap());
    let count = u16::from_le_bytes(fs::read(&good).unwrap()[0x3c..0x3e].try_into().unwrap());
    let lie = |change: &dyn Fn(&File)| {
        let path = directory.path().join("lying");
        fs::copy(&good, &path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        change(&file);
        resolve(&path, &id, address)
    };
    assert_eq!(name(&lie(&|_| ())), "main");
    // Every section but the first two as long as the file.
    let long = lie(&|file| {
        for section in 3..u64::from(count) {
            file.write_all_at(&(size - (1 << 20)).to_le_bytes(), sections_at + section * 64 + 32).unwrap();
        }
    });
    assert_eq!(name(&long), "", "{long:?}");
    // Section 0 says how many sections there are.
    let many = lie(&|file| {
        file.write_all_at(&0u16.to_le_bytes(), 0x3c).unwrap();
        file.write_all_at(&(size / 128).to_le_bytes(), sections_at + 32).unwrap();
    });
    assert_eq!(note(&many), "cannot be read: a section is too large");
    let packed = directory.path().join("packed");
    toolbox::run("objcopy", &["--compress-debug-sections=zlib", text(&good), text(&packed)]);
    let table = toolbox::run("readelf", &["-SW", text(&packed)]);
    let line = table.lines().find(|l| l.contains(".debug_info")).unwrap();
    let offset = u64::from_str_radix(line.split_whitespace().rev().nth(6).unwrap(), 16).unwrap();
    File::options().write(true).open(&packed).unwrap().write_all_at(&(1u64 << 60).to_le_bytes(), offset + 8).unwrap();
    let bomb = resolve(&packed, &id, address);
    assert_eq!(name(&bomb), "main");
    assert!(note(&bomb).contains("more than the bound"), "{bomb:?}");
    assert!(peak_mib() < 1000, "{} MiB", peak_mib());
}

/// Debug info nested a million deep does not end the server by its stack.
#[test]
fn nesting_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = compile("cc", "nested.s", directory.path(), "nested", &[]);
    let resolved = resolve(&path, &build_id(&path), symbol(&path, "main").0);
    assert_eq!(name(&resolved), "main");
    assert_eq!(note(&resolved), "debug info takes too much work to read; name from the symbol table");
}

/// Twenty thousand units, all of which claim every address and read one line program of a million rows, not one of which is of
/// the address: each would take 24 MB, for nothing.
#[test]
fn one_table_for_all_units() {
    let directory = tempfile::tempdir().unwrap();
    let path = compile("cc", "units.s", directory.path(), "units", &[]);
    let resolved = resolve(&path, &build_id(&path), symbol(&path, "main").0);
    assert_eq!(name(&resolved), "main");
    assert_eq!(note(&resolved), "debug info takes too much work to read; name from the symbol table");
    assert!(peak_mib() < 1000, "{} MiB", peak_mib());
}

/// All that is installed here, as far as time allows: every library is read, and none breaks the answer.
#[test]
fn real_libraries() {
    let asked = symbols(Path::new("/usr/lib/debug"));
    let files = fs::read_dir("/usr/lib/x86_64-linux-gnu").into_iter().flatten().flatten().map(|entry| entry.path());
    let libraries =
        files.filter(|path| path.extension() == Some(OsStr::new("so")) || text(path).contains(".so.")).take(40);
    for path in libraries.filter(|path| path.is_file() && fs::read(path).is_ok_and(|data| data.starts_with(b"\x7fELF")))
    {
        let path = fs::canonicalize(path).unwrap();
        let id = build_id(&path);
        let (start, bytes) = section(&path, ".text");
        let addresses: Vec<u64> = (0..200).map(|i| start + bytes * i / 200).collect();
        let resolved = asked.resolve(&module(&path, &id, None), &addresses);
        assert!(resolved.iter().all(|r| !note(r).contains("cannot") && !note(r).contains("replaced")), "{path:?}");
    }
}

fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}
