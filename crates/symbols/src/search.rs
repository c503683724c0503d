//! Finds the files of a module: the one that was loaded, and the one with its debug info. The build-id decides.
//!
//! A file of another build-id is never used, whatever its name. If none is found, the reason is put into words for
//! `symbol_note`. The places, in order, are in docs/explanation/symbols.md. Called by `resolve`.
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::debug_info;
use crate::elf::{Elf, FileId, open_regular};
use crate::{ModuleRef, hex};

const DELETED: &str = " (deleted)";
/// No more of /proc/PID/maps is read.
const MAPS_BYTES: u64 = 64 << 20;
/// Debug files whose checksum is worth computing.
const CHECKSUM_BYTES: u64 = 4 << 30;

/// The files of a module. There is at least one of `binary` and `debug`.
pub(crate) struct ModuleFiles {
    pub binary: Option<Elf>,
    /// A file that has debug info, or a symbol table that the binary lacks.
    pub debug: Option<Elf>,
    /// The file with what `debug` (or `binary`) shares with other debug files.
    pub supplement: Option<Elf>,
    /// A note for every address that names may be of another build.
    pub note: Option<&'static str>,
}

impl ModuleFiles {
    pub(crate) fn has_debug_info(&self) -> bool {
        [&self.binary, &self.debug].into_iter().flatten().any(debug_info::is_in)
    }

    pub(crate) fn ids(&self) -> [Option<FileId>; 3] {
        [&self.binary, &self.debug, &self.supplement].map(|elf| elf.as_ref().map(Elf::id))
    }
}

pub(crate) fn find(module: &ModuleRef<'_>, debug_directories: &[PathBuf]) -> Result<ModuleFiles, String> {
    let roots = Roots::of(module);
    let directories = roots.debug_directories(debug_directories);
    let mut found = match find_binary(module, &roots) {
        Ok((elf, path, note)) => {
            let debug = if debug_info::is_in(&elf) { None } else { find_debug(&elf, &path, &roots, &directories) };
            ModuleFiles { binary: Some(elf), debug, supplement: None, note }
        }
        Err(note) => {
            let debug = by_build_id(&directories, module.build_id).ok_or(note)?;
            ModuleFiles { binary: None, debug: Some(debug), supplement: None, note: None }
        }
    };
    let with_debug_info = found.debug.as_ref().or(found.binary.as_ref());
    found.supplement = with_debug_info.and_then(|elf| find_supplement(elf, &roots, &directories));
    Ok(found)
}

/// The roots at which paths begin: the process's mount namespace while it lives, then this server's.
struct Roots(Vec<PathBuf>);

impl Roots {
    fn of(module: &ModuleRef<'_>) -> Roots {
        let own = module.pid.map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
        Roots(own.into_iter().chain([PathBuf::from("/")]).collect())
    }

    fn paths(&self, absolute: &Path) -> impl Iterator<Item = PathBuf> {
        let relative = absolute.strip_prefix("/").unwrap_or(absolute).to_owned();
        self.0.iter().map(move |root| root.join(&relative))
    }

    /// The server's own first: what its administrator installed.
    fn debug_directories(&self, directories: &[PathBuf]) -> Vec<PathBuf> {
        self.0
            .iter()
            .rev()
            .flat_map(|root| directories.iter().map(move |d| root.join(d.strip_prefix("/").unwrap_or(d))))
            .collect()
    }
}

/// One mapping of the module in the process.
struct Mapping {
    range: String,
    inode: u64,
}

fn mappings(pid: i32, path: &str) -> Vec<Mapping> {
    let mut text = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/maps"));
    if file.and_then(|file| file.take(MAPS_BYTES).read_to_end(&mut text)).is_err() {
        return Vec::new();
    }
    let plain = path.strip_suffix(DELETED).unwrap_or(path);
    String::from_utf8_lossy(&text).lines().filter_map(|line| mapping(line, plain)).collect()
}

/// `address perms offset dev inode   path`.
fn mapping(line: &str, path: &str) -> Option<Mapping> {
    let (fields, name) = line.split_at(line.find('/')?);
    if name.strip_suffix(DELETED).unwrap_or(name) != path {
        return None;
    }
    let mut fields = fields.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    // The names in map_files have no leading zeros.
    let bare = |number: &str| number.trim_start_matches('0').to_owned();
    Some(Mapping { range: format!("{}-{}", bare(start), bare(end)), inode: fields.nth(3)?.parse().ok()? })
}

type Binary = (Elf, PathBuf, Option<&'static str>);

fn find_binary(module: &ModuleRef<'_>, roots: &Roots) -> Result<Binary, String> {
    let path = module.path.strip_suffix(DELETED).unwrap_or(module.path);
    if !path.starts_with('/') {
        let what = if path.is_empty() { "the module has no name" } else { path };
        return Err(format!("no file: {what}"));
    }
    let mapped = module.pid.map_or(Vec::new(), |pid| mappings(pid, path));
    let (mut replaced, mut unreadable) = (None, None);
    for (candidate, is_the_mapped) in candidates(module, path, &mapped, roots) {
        match Elf::open(&candidate) {
            Ok(elf) if !is_build(&elf, module.build_id) => replaced = replaced.or(Some(elf.build_id)),
            Ok(elf) => {
                let certain =
                    is_the_mapped || !elf.build_id.is_empty() || mapped.iter().any(|m| m.inode == elf.id().inode);
                let note = (!certain).then_some("the file has no build-id: names are of the file as it is now");
                return Ok((elf, PathBuf::from(path), note));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => unreadable = unreadable.or(Some(e)),
        }
    }
    let was =
        || if module.build_id.is_empty() { "it had none".to_owned() } else { format!("was {}", hex(module.build_id)) };
    Err(match (replaced, unreadable) {
        (Some(now), _) if now.is_empty() => format!("replaced: the file has no build-id now, {}", was()),
        (Some(now), _) => format!("replaced: build-id is {} now, {}", hex(&now), was()),
        (None, Some(e)) => format!("cannot be read: {e}"),
        (None, None) => "file is gone".to_owned(),
    })
}

/// Files that may be the module, the likeliest first, and whether it certainly is what the process has mapped.
fn candidates(module: &ModuleRef<'_>, path: &str, mapped: &[Mapping], roots: &Roots) -> Vec<(PathBuf, bool)> {
    let by_name = roots.paths(Path::new(path)).map(|path| (path, false));
    let Some(pid) = module.pid else { return by_name.collect() };
    let exe = PathBuf::from(format!("/proc/{pid}/exe"));
    let is_exe = fs::read_link(&exe)
        .is_ok_and(|to| to.to_str().is_some_and(|to| to.strip_suffix(DELETED).unwrap_or(to) == path));
    let held = mapped.iter().take(1).map(|m| PathBuf::from(format!("/proc/{pid}/map_files/{}", m.range)));
    let held = is_exe.then_some(exe).into_iter().chain(held).map(|path| (path, true));
    // Without a build-id only the mapping itself tells a deleted file from its successor.
    if module.path.ends_with(DELETED) && module.build_id.is_empty() {
        held.collect()
    } else {
        by_name.chain(held).collect()
    }
}

fn find_debug(binary: &Elf, path: &Path, roots: &Roots, directories: &[PathBuf]) -> Option<Elf> {
    by_build_id(directories, &binary.build_id).or_else(|| by_debug_link(binary, path, roots, directories))
}

/// DIRECTORY/.build-id/xx/yyyy.debug. It has a symbol table, if no debug info.
fn by_build_id(directories: &[PathBuf], build_id: &[u8]) -> Option<Elf> {
    let name = build_id_path(build_id)?;
    directories
        .iter()
        .find_map(|directory| Elf::open(&directory.join(&name)).ok().filter(|elf| elf.build_id == build_id))
}

/// The path of a debug file below a debug directory: `.build-id/xx/yyyy.debug`.
pub fn build_id_path(build_id: &[u8]) -> Option<String> {
    let (first, rest) = build_id.split_first().filter(|(_, rest)| !rest.is_empty())?;
    Some(format!(".build-id/{}/{}.debug", hex(&[*first]), hex(rest)))
}

/// The file that `.gnu_debuglink` names: beside the binary, in `.debug` beside it, or below a debug directory.
fn by_debug_link(binary: &Elf, path: &Path, roots: &Roots, directories: &[PathBuf]) -> Option<Elf> {
    let (name, crc) = binary.debug_link()?;
    let beside = path.parent()?;
    let below = beside.strip_prefix("/").ok()?;
    let near = [beside.join(&name), beside.join(".debug").join(&name)];
    let near = near.iter().flat_map(|path| roots.paths(path));
    let candidates = near.chain(directories.iter().map(|directory| directory.join(below).join(&name)));
    candidates.into_iter().find_map(|path| {
        let elf = Elf::open(&path).ok().filter(|elf| elf.id() != binary.id())?;
        let both = !elf.build_id.is_empty() && !binary.build_id.is_empty();
        let same = if both { elf.build_id == binary.build_id } else { checksum(&path).ok()? == crc };
        same.then_some(elf)
    })
}

/// The file that `.gnu_debugaltlink` names: by its build-id, else at its path, which may be relative to the debug file's.
fn find_supplement(elf: &Elf, roots: &Roots, directories: &[PathBuf]) -> Option<Elf> {
    let (path, build_id) = elf.alternate_link()?;
    by_build_id(directories, &build_id).or_else(|| {
        let name = Path::new(&path).file_name()?.to_owned();
        let listed = Path::new(&path).is_absolute().then(|| roots.paths(Path::new(&path)));
        let dwz =
            directories.iter().flat_map(|d| [d.join(".dwz").join(&name), d.join(".dwz/x86_64-linux-gnu").join(&name)]);
        let mut candidates = listed.into_iter().flatten().chain(dwz);
        candidates.find_map(|path| Elf::open(&path).ok().filter(|elf| elf.build_id == build_id))
    })
}

fn checksum(path: &Path) -> io::Result<u32> {
    let (file, id) = open_regular(path)?;
    if id.bytes > CHECKSUM_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let (mut file, mut crc) = (file.take(CHECKSUM_BYTES), crc32fast::Hasher::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crc.finalize()),
            read => crc.update(&buffer[..read]),
        }
    }
}

/// A ledger keeps the first 32 bytes of a build-id.
fn is_build(elf: &Elf, recorded: &[u8]) -> bool {
    elf.build_id == recorded || (recorded.len() == 32 && elf.build_id.starts_with(recorded))
}
