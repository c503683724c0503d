//! Answers of /proc about one process, read as bytes: a process may name itself with bytes that are no UTF-8, and the kernel
//! cuts names at 15 bytes, in the middle of a letter if need be.
//!
//! It judges nothing. Used by `liveness`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};

use heapql_ledger::layout::TEXT_BYTES;

/// No answer is read beyond this.
const MOST_BYTES: u64 = 64 << 20;

/// The contents of `/proc/PID/NAME`, or their first `most` bytes.
fn read(pid: u32, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(format!("/proc/{pid}/{name}"))?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The command line of a process as it is now, its words separated by blanks. A process may have changed it to a title.
/// `None` if there is none, as of one that has ended.
pub(crate) fn command(pid: u32) -> Option<String> {
    let bytes = read(pid, "cmdline", TEXT_BYTES as u64).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\0', ' ']).replace('\0', " ");
    (!text.is_empty()).then_some(text)
}

/// The parts of `/proc/PID/stat` that tell one process, and one image in it, from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    /// The process has not ended.
    pub(crate) is_running: bool,
    /// Start time in clock ticks since the machine booted. exec does not change it.
    pub(crate) start_ticks: u64,
    /// A digest of where program, stack, arguments and environment lie, which exec changes. The kernel hides these places
    /// from users who may not look into the process.
    pub(crate) image: u64,
}

impl Stat {
    pub(crate) fn read(pid: u32) -> Option<Stat> {
        Stat::parse(&read(pid, "stat", MOST_BYTES).ok()?)
    }

    /// The numbers of the fields are those of proc(5).
    fn parse(stat: &[u8]) -> Option<Stat> {
        // The command, field 2, may hold anything: the other fields begin behind its last bracket.
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields: Vec<&[u8]> = stat.get(end + 2..)?.split(|&byte| byte == b' ').collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let mut hasher = DefaultHasher::new();
        for number in [26, 27, 28, 45, 46, 47, 48, 49, 50, 51] {
            field(number).hash(&mut hasher);
        }
        Some(Stat {
            is_running: !matches!(field(3)?, b"Z" | b"X" | b"x"),
            start_ticks: std::str::from_utf8(field(22)?).ok()?.parse().ok()?,
            image: hasher.finish(),
        })
    }
}

/// Whether a file of this name is mapped in the process. `None` if that cannot be told: the process belongs to another user,
/// or has just ended.
pub(crate) fn maps(pid: u32, name: &str) -> Option<bool> {
    let maps =
        read(pid, "maps", MOST_BYTES).ok().filter(|maps| !maps.is_empty() && (maps.len() as u64) < MOST_BYTES)?;
    let path = format!("/{name}");
    let mut lines = maps.split(|&byte| byte == b'\n');
    Some(lines.any(|line| line.strip_suffix(b" (deleted)").unwrap_or(line).ends_with(path.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(command: &[u8], state: &str, places: &str) -> Vec<u8> {
        let rest =
            format!(" {state} 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 999 77 18446744073709551615 {places}\n");
        [b"7 (", command, b")", rest.as_bytes()].concat()
    }

    #[test]
    fn a_command_may_be_anything() {
        let cut = "программа-демо-утечка".as_bytes();
        for command in
            [&b"sleep"[..], b"", b"a) Z 1 (b", b"\xff\xfe", &cut[..15], "内存泄漏测试".as_bytes().split_at(15).0]
        {
            let found = Stat::parse(&stat(command, "S", "1 2 3")).expect("a process");
            assert!(found.is_running && found.start_ticks == 4242, "{command:?}: {found:?}");
            assert!(!Stat::parse(&stat(command, "Z", "1 2 3")).expect("a process").is_running);
        }
        assert_eq!(Stat::parse(b""), None);
        assert_eq!(Stat::parse(b"7 (sleep"), None);
        assert_eq!(Stat::parse(b"7 (sleep) S"), None);
    }

    #[test]
    fn another_image_has_another_digest() {
        let image = |places| Stat::parse(&stat(b"sh", "S", places)).expect("a process").image;
        assert_eq!(image("1 2 3"), image("1 2 3"));
        assert_ne!(image("1 2 3"), image("1 2 4"));
    }

    #[test]
    fn this_process_maps_its_own_file() {
        let own = std::env::current_exe().expect("a path");
        let name = own.file_name().expect("a name").to_str().expect("text");
        assert_eq!(maps(std::process::id(), name), Some(true));
        assert_eq!(maps(std::process::id(), "no-such-file"), Some(false));
        assert_eq!(maps(u32::MAX >> 1, name), None);
    }
}
