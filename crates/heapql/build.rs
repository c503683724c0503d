//! Builds the preload library with a nested cargo, so that the one binary carries it inside.
//!
//! Not a dependency in the ordinary sense: the library needs its own profile (it aborts, it is small, it is what other
//! processes map) and its own feature, and must not share either with the crates that the server links. It has a target
//! directory of its own, so that the two cargos never wait for each other. Called by cargo.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIBRARY: &str = "libheapql_preload.so";
const PROFILE: &str = "preload";
/// The crates that end up in the library.
const CRATES: [&str; 4] = ["ledger", "unwind", "sampler", "preload"];

/// Would bend the nested build to the outer one: flags (sanitizers, coverage), clippy's driver, another target directory.
const NOT_INHERITED: [&str; 8] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_TARGET",
];

fn main() {
    if let Err(error) = run() {
        // Not returned from main: that would print it escaped, and cargo's words on one line.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")?)
        .ancestors()
        .nth(2)
        .ok_or("the crate lies outside its workspace")?
        .to_owned();
    let out = PathBuf::from(variable("OUT_DIR")?);
    watch(&workspace);
    let built = build(&workspace, &out.join("preload-target"))?;
    let library = fs::read(&built).map_err(|error| format!("cannot read '{}': {error}", built.display()))?;
    fs::write(out.join(LIBRARY), &library)?;
    println!("cargo::rustc-env=HEAPQL_PRELOAD_HASH={:016x}", hash(&library));
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: this is called by cargo only"))
}

fn watch(workspace: &Path) {
    println!("cargo::rerun-if-changed=build.rs");
    for file in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(file).display());
    }
    for name in CRATES {
        for part in ["Cargo.toml", "build.rs", "src"] {
            let path = workspace.join("crates").join(name).join(part);
            if path.exists() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
        }
    }
}

/// Runs cargo and returns where the library lies. It inherits the job server, so that both share the processors.
fn build(workspace: &Path, target_dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let (host, target) = (variable("HOST")?, variable("TARGET")?);
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["build", "--package", "heapql-preload", "--lib"])
        .args(["--profile", PROFILE, "--features", "freestanding"])
        .arg("--target-dir")
        .arg(target_dir);
    let mut place = target_dir.to_owned();
    if host != target {
        cargo.args(["--target", &target]);
        place.push(&target);
    }
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    let ran = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        return Err(format!("the preload library could not be built, {}:\n{said}", ran.status).into());
    }
    Ok(place.join(PROFILE).join(LIBRARY))
}

/// FNV-1a, 64 bits: names the file that the library is unpacked to. Its contents are compared as well.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
