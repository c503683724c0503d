//! Frames of every address of real programs against binutils' addr2line, in every form that debug info has.
mod toolbox;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use toolbox::{build_id, compile, module, section, symbols, text};

/// What addr2line says: for each address (function, file name, line), innermost first.
fn oracle(path: &Path, addresses: &[u64]) -> Vec<Vec<(String, String, u32)>> {
    let mut command = Command::new("addr2line");
    command.args(["-a", "-i", "-f", "-C", "-e", text(path)]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("addr2line of binutils");
    let mut input = child.stdin.take().unwrap();
    let lines: String = addresses.iter().map(|a| format!("{a:#x}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut results = Vec::new();
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            results.push(Vec::new());
            continue;
        }
        let place = lines.next().unwrap();
        let (file, number) = place.rsplit_once(':').unwrap();
        let number = number.split(' ').next().unwrap().parse().unwrap_or(0);
        results.last_mut().unwrap().push((line.to_owned(), base(file), number));
    }
    results
}

fn base(path: &str) -> String {
    path.rsplit('/').next().unwrap().to_owned()
}

fn spread(path: &Path, step: u64) -> Vec<u64> {
    let (start, bytes) = section(path, ".text");
    (start..start + bytes).step_by(step as usize).collect()
}

/// Parameters and template arguments are written in two ways.
fn stem(name: &str) -> &str {
    &name[..name.find(['(', '<', '{']).filter(|at| *at > 0).unwrap_or(name.len())]
}

/// All addresses that we name must have the oracle's frames; those that we do not name must be in no symbol, where the
/// oracle takes the nearest.
///
/// `files`: whether the oracle can be trusted with files. binutils 2.40 names the unit's own file for some lines of headers
/// if the line table is of DWARF 5; its readelf, and gdb, contradict it.
fn compare(path: &Path, step: u64, files: bool) {
    let addresses = spread(path, step);
    let expected = oracle(path, &addresses);
    let id = build_id(path);
    let resolved = symbols(Path::new("/nowhere")).resolve(&module(path, &id, None), &addresses);
    assert_eq!(expected.len(), resolved.len());
    let (mut compared, mut inlined) = (0, 0);
    for ((address, expected), resolved) in addresses.iter().zip(&expected).zip(&resolved) {
        let outermost = expected.last().unwrap().0.as_str();
        let ours = || format!("{address:#x}: {resolved:?}, not {expected:?}");
        if resolved.frames.last().unwrap().function.is_none() {
            continue;
        }
        assert_eq!(resolved.frames.len(), expected.len(), "{}", ours());
        for (at, (frame, (name, file, line))) in resolved.frames.iter().zip(expected).enumerate() {
            assert_eq!(frame.line.unwrap_or(0), *line, "{}", ours());
            if files && *line > 0 {
                assert_eq!(base(frame.file.as_deref().unwrap()), *file, "{}", ours());
            }
            // For an inlined function without a mangled name binutils takes that of the symbol that holds it.
            let is_inline = at + 1 < expected.len();
            assert_eq!(frame.is_inline, is_inline, "{}", ours());
            let function = frame.function.as_deref().unwrap();
            if let Some(cut) = function.strip_suffix("<...>") {
                assert!(name.contains(cut), "{}", ours());
            } else if !(is_inline && name == outermost) {
                assert_eq!(stem(function), stem(name), "{}", ours());
            }
        }
        compared += 1;
        inlined += usize::from(expected.len() > 1);
    }
    assert!(compared * 10 > addresses.len() * 9, "{compared} of {} named", addresses.len());
    assert!(inlined * 20 > compared, "{inlined} of {compared} with inlined frames");
}

#[test]
fn cpp_with_inlining() {
    let directory = tempfile::tempdir().unwrap();
    for version in ["-gdwarf-5", "-gdwarf-4"] {
        let path = compile("g++", "inlined.cpp", directory.path(), "cpp", &["-O2", "-std=c++17", version]);
        compare(&path, 1, version == "-gdwarf-4");
    }
}

#[test]
fn rust_with_inlining() {
    let directory = tempfile::tempdir().unwrap();
    // Legacy mangling is the default, and cannot be asked for by name.
    for (name, mangling) in [("legacy", None), ("v0", Some("-Csymbol-mangling-version=v0"))] {
        let options: Vec<&str> = ["-O", "--edition=2021"].into_iter().chain(mangling).collect();
        compare(&compile("rustc", "inlined.rs", directory.path(), name, &options), 37, true);
    }
}

/// Compressed, static, without position, separate, shared by dwz: the same answers.
#[test]
fn every_form_gives_the_same_frames() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let plain = compile("g++", "inlined.cpp", at, "plain", &["-O2", "-std=c++17"]);
    let id = build_id(&plain);
    let addresses = spread(&plain, 3);
    let ask = |path: &Path| symbols(at).resolve(&module(path, &id, None), &addresses);
    let expected = ask(&plain);
    assert!(expected.iter().filter(|r| r.frames.len() > 1).count() > 100);
    let same = |path: &Path, form: &str| {
        for ((address, resolved), expected) in addresses.iter().zip(ask(path)).zip(&expected) {
            assert_eq!(resolved.frames, expected.frames, "{form} {address:#x} ({:?})", resolved.note);
        }
    };
    for kind in ["zlib", "zstd"] {
        let packed = at.join(kind);
        toolbox::run("objcopy", &[&format!("--compress-debug-sections={kind}"), text(&plain), text(&packed)]);
        assert!(toolbox::run("readelf", &["-tW", text(&packed)]).contains("COMPRESSED"));
        same(&packed, kind);
    }
    let (stripped, debug) = (at.join("stripped"), at.join("stripped.debug"));
    toolbox::run("objcopy", &["--only-keep-debug", text(&plain), text(&debug)]);
    toolbox::run("objcopy", &["--strip-all", text(&plain), text(&stripped)]);
    assert!(ask(&stripped).iter().all(|r| r.frames.iter().all(|f| f.line.is_none())));
    toolbox::run("objcopy", &[&format!("--add-gnu-debuglink={}", text(&debug)), text(&stripped)]);
    same(&stripped, ".gnu_debuglink beside it");
    std::fs::create_dir(at.join(".debug")).unwrap();
    std::fs::rename(&debug, at.join(".debug/stripped.debug")).unwrap();
    same(&stripped, ".gnu_debuglink in .debug");
    let hex = toolbox::hex(&id);
    let by_id = at.join(".build-id").join(&hex[..2]);
    std::fs::create_dir_all(&by_id).unwrap();
    let by_id = by_id.join(format!("{}.debug", &hex[2..]));
    std::fs::rename(at.join(".debug/stripped.debug"), &by_id).unwrap();
    same(&stripped, ".build-id");
    // The debug file is of that build: the program itself is not needed.
    same(&at.join("gone"), ".build-id alone");
}

/// Two debug files that share what they have in common, as Debian's do.
#[test]
fn debug_info_shared_by_dwz() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let options = ["-O2", "-std=c++17", "-Wl,--build-id"];
    let [one, other] = ["one", "other"].map(|name| compile("g++", "inlined.cpp", at, name, &options));
    let id = build_id(&one);
    let addresses = spread(&one, 5);
    let ask = || symbols(at).resolve(&module(&one, &id, None), &addresses);
    let expected = ask();
    let shared = at.join("shared.debug");
    toolbox::run("dwz", &["-m", text(&shared), text(&one), text(&other)]);
    assert!(toolbox::run("readelf", &["-SW", text(&one)]).contains(".gnu_debugaltlink"));
    for (resolved, expected) in ask().iter().zip(&expected) {
        assert_eq!(resolved.frames, expected.frames);
    }
    // By its build-id, as the packages' are found.
    let hex = toolbox::hex(&build_id(&shared));
    let by_id = at.join(".build-id").join(&hex[..2]);
    std::fs::create_dir_all(&by_id).unwrap();
    std::fs::rename(&shared, by_id.join(format!("{}.debug", &hex[2..]))).unwrap();
    for (resolved, expected) in ask().iter().zip(&expected) {
        assert_eq!(resolved.frames, expected.frames);
    }
}
