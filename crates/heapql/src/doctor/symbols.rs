//! Where a file's names and lines come from, if from anywhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use heapql_symbols::{ProgramFacts, build_id_path};

use super::Finding::{self, Fine, Warn};
use crate::shell::quote;

const DEBUG_ROOT: &str = "/usr/lib/debug";

/// Debug info, in the file or beside it; else the symbols, else nothing.
pub(super) fn check(path: &Path, facts: &ProgramFacts) -> Finding {
    if facts.has_debug_info {
        return Fine("functions, files and lines: debug info is in the file".to_owned());
    }
    let places = places(path, facts);
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        return Fine(format!("functions, files and lines: debug info is in '{}'", found.display()));
    }
    let have = if facts.has_symbols { "functions without lines" } else { "only the names of exported functions" };
    let looked = match places.first() {
        Some(first) => format!("no debug info here nor in '{}'", first.display()),
        None => "no debug info, and neither a build-id nor a link to tell where it might be".to_owned(),
    };
    Warn(format!("{have}: {looked} (hint: {})", hint(path)))
}

/// Where debuggers look (gdb(1), separate debug files).
fn places(path: &Path, facts: &ProgramFacts) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let by_build_id = facts.build_id.as_deref().and_then(build_id_path);
    places.extend(by_build_id.map(|path| Path::new(DEBUG_ROOT).join(path)));
    // A name, not a path: whoever built the file has no say about other places.
    let link = facts.debug_link.as_deref().filter(|name| !name.is_empty() && !name.contains('/'));
    if let (Some(name), Some(dir)) = (link, path.parent()) {
        places.push(dir.join(name));
        places.push(dir.join(".debug").join(name));
        places.push(Path::new(DEBUG_ROOT).join(dir.strip_prefix("/").unwrap_or(dir)).join(name));
    }
    // A link may name the file itself.
    places.retain(|place| place != path);
    places
}

fn hint(path: &Path) -> String {
    match package(path) {
        Some(package) => format!("apt-get install {package}-dbgsym, from Debian's debug archive"),
        None => "build it with -g, and do not strip it".to_owned(),
    }
}

/// The Debian package that installed a file.
fn package(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    // Packages list files where they were before /bin became a link.
    let names = [path, path.strip_prefix("/usr").unwrap_or(path)];
    names.iter().find_map(|name| {
        let said =
            Command::new("dpkg-query").args(["--search", name]).output().ok().filter(|ran| ran.status.success())?;
        let said = String::from_utf8(said.stdout).ok()?;
        let package = said.lines().next()?.split(':').next()?.trim().to_owned();
        (!package.contains([' ', ','])).then(|| quote(&package))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_those_of_debuggers() {
        let facts = ProgramFacts {
            build_id: Some(vec![0xab, 0xcd, 0x01]),
            debug_link: Some("app.debug".to_owned()),
            ..ProgramFacts::default()
        };
        let expected = [
            "/usr/lib/debug/.build-id/ab/cd01.debug",
            "/opt/bin/app.debug",
            "/opt/bin/.debug/app.debug",
            "/usr/lib/debug/opt/bin/app.debug",
        ];
        assert_eq!(places(Path::new("/opt/bin/app"), &facts), expected.map(PathBuf::from));
        let elsewhere = ProgramFacts { debug_link: Some("../../etc/passwd".to_owned()), ..ProgramFacts::default() };
        assert!(places(Path::new("/opt/bin/app"), &elsewhere).is_empty());
    }
}
