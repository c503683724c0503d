//! Which file a module's names are taken from: replaced, deleted, in another mount namespace, without build-id, stripped.
mod toolbox;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use heapql_symbols::{ModuleRef, SymbolSettings, Symbols, unnamed};
use toolbox::{build_id, compile, hex, module, name, note, resolve, section, symbol, symbols, text};

/// A process that waits; ended with the test.
struct Waiting(Child);

impl Waiting {
    fn start(command: &mut Command) -> Option<Waiting> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let waiting = Waiting(child);
        (line == "ready\n").then_some(waiting)
    }

    fn pid(&self) -> Option<i32> {
        Some(self.0.id() as i32)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn waiting(at: &Path, file: &str, options: &[&str]) -> std::path::PathBuf {
    compile("cc", "waiting.c", at, file, options)
}

#[test]
fn a_replaced_file_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let old = waiting(directory.path(), "app", &[]);
    let (was, address) = (build_id(&old), symbol(&old, "wait_for_end").0);
    assert_eq!(name(&resolve(&old, &was, address)), "wait_for_end");
    let new = compile("g++", "inlined.cpp", directory.path(), "app", &["-std=c++17"]);
    let now = build_id(&new);
    let resolved = resolve(&new, &was, address);
    assert_eq!(note(&resolved), format!("replaced: build-id is {} now, was {}", hex(&now), hex(&was)));
    assert_eq!((resolved.frames.len(), name(&resolved)), (1, ""));
    // It had none when it was recorded.
    let resolved = resolve(&new, &[], address);
    assert_eq!(note(&resolved), format!("replaced: build-id is {} now, it had none", hex(&now)));
    assert_eq!(name(&resolved), "");
}

/// The process still has what was replaced.
#[test]
fn a_deleted_file_is_read_while_the_process_lives() {
    let directory = tempfile::tempdir().unwrap();
    for option in ["-Wl,--build-id", "-Wl,--build-id=none"] {
        let path = waiting(directory.path(), "app", &[option]);
        let (id, address) = (build_id(&path), symbol(&path, "wait_for_end").0);
        let process = Waiting::start(&mut Command::new(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        // Another program of the same name.
        compile("g++", "inlined.cpp", directory.path(), "app", &["-std=c++17", option]);
        let deleted = format!("{} (deleted)", text(&path));
        let asked = symbols(directory.path());
        let of = |pid| ModuleRef { path: &deleted, build_id: &id, pid };
        let resolved = asked.resolve(&of(process.pid()), &[address]).remove(0);
        assert_eq!((name(&resolved), note(&resolved)), ("wait_for_end", ""), "{option}");
        drop(process);
        if !id.is_empty() {
            // What was read is kept, and for this build it still holds.
            assert_eq!(name(&asked.resolve(&of(None), &[address])[0]), "wait_for_end");
            let late = symbols(directory.path()).resolve(&of(None), &[address]).remove(0);
            assert_eq!(name(&late), "");
            assert!(note(&late).starts_with("replaced: "), "{late:?}");
        }
        fs::remove_file(&path).unwrap();
        let gone = symbols(directory.path()).resolve(&of(None), &[address]).remove(0);
        assert_eq!((name(&gone), note(&gone)), ("", "file is gone"));
    }
}

#[test]
fn a_file_without_build_id_is_only_trusted_while_it_is_mapped() {
    let directory = tempfile::tempdir().unwrap();
    let path = waiting(directory.path(), "app", &["-Wl,--build-id=none"]);
    let address = symbol(&path, "wait_for_end").0;
    assert!(build_id(&path).is_empty());
    let unsure = "the file has no build-id: names are of the file as it is now";
    let dead = resolve(&path, &[], address);
    assert_eq!((name(&dead), note(&dead)), ("wait_for_end", unsure));
    let process = Waiting::start(&mut Command::new(&path)).unwrap();
    let asked = symbols(directory.path());
    let alive = asked.resolve(&module(&path, &[], process.pid()), &[address]).remove(0);
    assert_eq!((name(&alive), note(&alive)), ("wait_for_end", ""));
    // A build-id was recorded: this cannot be it.
    let other = resolve(&path, &[1, 2, 3], address);
    assert_eq!((name(&other), note(&other)), ("", "replaced: the file has no build-id now, was 010203"));
    // The file is looked at again: a longer function before moves the address.
    drop(process);
    compile("g++", "inlined.cpp", directory.path(), "app", &["-std=c++17", "-O2", "-Wl,--build-id=none"]);
    let main = symbol(&path, "main").0;
    assert_eq!(name(&asked.resolve(&module(&path, &[], None), &[main])[0]), "main");
}

#[test]
fn another_mount_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let hidden = directory.path().join("hidden");
    fs::create_dir(&hidden).unwrap();
    let path = waiting(directory.path(), "app", &[]);
    let script = format!("mount -t tmpfs none {0} && cp {1} {0}/app && exec {0}/app", text(&hidden), text(&path));
    let ways: [&[&str]; 2] = [&["-m"], &["-r", "-m"]];
    let started =
        ways.iter().find_map(|way| Waiting::start(Command::new("unshare").args(*way).args(["sh", "-c", &script])));
    let Some(process) = started else {
        eprintln!("not tested: no mount namespace is to be had here");
        return;
    };
    let (id, address) = (build_id(&path), symbol(&path, "wait_for_end").0);
    let inside = hidden.join("app");
    assert!(!inside.exists());
    let resolved = symbols(directory.path()).resolve(&module(&inside, &id, process.pid()), &[address]).remove(0);
    assert_eq!((name(&resolved), note(&resolved)), ("wait_for_end", ""));
    drop(process);
    assert_eq!(note(&resolve(&inside, &id, address)), "file is gone");
}

#[test]
fn stripped_files_have_exported_names_within_their_size() {
    let directory = tempfile::tempdir().unwrap();
    let path = waiting(directory.path(), "app", &["-rdynamic"]);
    let (id, (address, bytes)) = (build_id(&path), symbol(&path, "wait_for_end"));
    let (helper, _) = symbol(&path, "helper");
    toolbox::run("objcopy", &["--strip-debug", text(&path)]);
    let lines = resolve(&path, &id, address);
    assert_eq!((name(&lines), note(&lines)), ("wait_for_end", "no debug info; name from the symbol table"));
    assert_eq!(name(&resolve(&path, &id, helper)), "helper");
    toolbox::run("strip", &[text(&path)]);
    let exported = resolve(&path, &id, address + bytes - 1);
    assert_eq!((name(&exported), note(&exported)), ("wait_for_end", "no debug info; only exported names"));
    assert_eq!(exported.frames[0].line, None);
    // `helper` is not exported, and not the end of what is before it.
    let local = resolve(&path, &id, helper);
    assert_eq!((name(&local), note(&local)), ("", "no debug info; only exported names, none at this address"));
    let stub = resolve(&path, &id, section(&path, ".plt").0 + 1);
    assert_eq!((name(&stub), note(&stub)), ("", "no debug info; a stub of the linker (PLT)"));
    let nowhere = resolve(&path, &id, 1 << 40);
    assert_eq!(name(&nowhere), "");
    toolbox::run("cc", &["-s", "-static", &toolbox::source("waiting.c"), "-o", text(&path)]);
    let bare = resolve(&path, &build_id(&path), address);
    assert_eq!((name(&bare), note(&bare)), ("", "no debug info; no symbols"));
}

#[test]
fn a_debug_link_must_lead_to_the_same_build() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for option in ["-Wl,--build-id", "-Wl,--build-id=none"] {
        let path = waiting(at, "app", &[option]);
        let (id, (address, _)) = (build_id(&path), symbol(&path, "wait_for_end"));
        let debug = at.join("app.debug");
        toolbox::run("objcopy", &["--only-keep-debug", text(&path), text(&debug)]);
        toolbox::run("strip", &[text(&path)]);
        toolbox::run("objcopy", &[&format!("--add-gnu-debuglink={}", text(&debug)), text(&path)]);
        let right = resolve(&path, &id, address);
        assert_eq!((name(&right), right.frames[0].line.is_some()), ("wait_for_end", true), "{option}");
        // Of another program, under the name that the link has.
        let other = compile("g++", "inlined.cpp", at, "other", &["-std=c++17", option]);
        fs::copy(&other, &debug).unwrap();
        let wrong = resolve(&path, &id, address);
        assert_eq!(name(&wrong), "", "{option}: {wrong:?}");
        fs::remove_file(&debug).unwrap();
    }
}

#[test]
fn what_is_no_file_says_so() {
    let asked = Symbols::new(SymbolSettings::default());
    let of = |path, pid| asked.resolve(&ModuleRef { path, build_id: &[1], pid }, &[1, 2]).remove(1);
    assert_eq!(note(&of("", None)), "no file: the module has no name");
    assert_eq!(note(&of("[vdso]", Some(1))), "no file: [vdso]");
    assert_eq!(note(&of("/no/such/file", Some(i32::MAX))), "file is gone");
    assert_eq!(asked.counts().failed_modules, 3);
    assert_eq!(unnamed("/usr/lib/libfoo.so.1", 0x12ab), "libfoo.so.1+0x12ab");
    assert_eq!(unnamed("/a/b (deleted)", 1), "b+0x1");
    assert_eq!(unnamed("", 16), "0x10");
}

#[test]
fn bounds_hold_and_answers_stay_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let paths = ["a", "b", "c"].map(|file| compile("g++", "inlined.cpp", at, file, &["-std=c++17", "-O2"]));
    let ids = paths.each_ref().map(|path| build_id(path));
    let (start, bytes) = section(&paths[0], ".text");
    let addresses: Vec<u64> = (start..start + bytes).collect();
    let ask = |asked: &Symbols, i: usize| asked.resolve(&module(&paths[i], &ids[i], None), &addresses);

    let roomy = symbols(at);
    let expected = ask(&roomy, 0);
    assert_eq!(roomy.counts().hits, 0);
    assert!(ask(&roomy, 0).iter().zip(&expected).all(|(a, b)| std::sync::Arc::ptr_eq(a, b)));
    assert_eq!(roomy.counts().hits, addresses.len() as u64);
    assert_eq!(roomy.counts().opened, 1);

    let tight = Symbols::new(SymbolSettings {
        cached_bytes: 100_000,
        open_modules: 1,
        known_modules: 2,
        ..SymbolSettings::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for i in [0, 1, 2, 1, 0] {
                    assert_eq!(ask(&tight, i), expected);
                    assert!(tight.counts().cached_bytes <= 100_000);
                    assert!(tight.counts().open_modules <= 1);
                }
            });
        }
    });
    assert!(tight.counts().evicted > 0);

    // Debug info that is more than the bound: names all the same.
    let poor = Symbols::new(SymbolSettings { open_bytes: 30_000, ..SymbolSettings::default() });
    let main = symbol(&paths[0], "main").0;
    let resolved = poor.resolve(&module(&paths[0], &ids[0], None), &[main]).remove(0);
    assert_eq!(name(&resolved), "main");
    assert!(note(&resolved).contains("is more than the bound of 1 MiB"), "{resolved:?}");
    assert_eq!(resolved.frames[0].line, None);
}
