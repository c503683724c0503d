//! A program on a terminal of its own, and what its screen shows: a pseudo-terminal and the few control sequences that
//! heapql and its libraries write.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::eventually;
use super::server::{Ended, kill};

pub(crate) struct Terminal {
    child: Child,
    master: File,
    /// Keeps the terminal alive after the program, to be looked at.
    slave: File,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    screen: Screen,
    raw: Vec<u8>,
}

impl Terminal {
    pub(crate) fn start(mut command: Command, columns: u16, rows: u16) -> Terminal {
        let (mut master, mut slave) = (-1, -1);
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let null = std::ptr::null_mut();
        // SAFETY: both descriptors are written, the size is read; name and settings may be null (openpty(3)).
        let opened = unsafe { libc::openpty(&mut master, &mut slave, null, null.cast(), &raw const size as *mut _) };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: openpty has just opened them, and nothing else owns them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
        for file in [&master, &slave] {
            // SAFETY: no memory is involved.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        // SAFETY: both are async-signal-safe and touch no memory.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            })
        };
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let seen = Arc::new(Mutex::new(Seen::default()));
        read(master.try_clone().expect("a descriptor"), Arc::clone(&seen));
        Terminal { child, master, slave, seen }
    }

    pub(crate) fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the size is read.
        let set = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0);
    }

    pub(crate) fn screen(&self) -> String {
        self.seen.lock().expect("not poisoned").screen.text()
    }

    /// All that was written so far, control sequences included.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("not poisoned").raw).into_owned()
    }

    /// Waits until the screen shows it.
    pub(crate) fn shows(&self, what: &str) -> String {
        self.until(what, |screen| screen.contains(what))
    }

    pub(crate) fn until(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        let screen = || self.screen();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(what, || Some(screen()).filter(|screen| is_it(screen)))
        }));
        found.unwrap_or_else(|_| panic!("{what} is not on the screen:\n{}", self.screen()))
    }

    fn termios(&self) -> libc::termios {
        let mut found = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: it writes the whole structure, or fails.
        unsafe {
            assert_eq!(libc::tcgetattr(self.slave.as_raw_fd(), found.as_mut_ptr()), 0);
            found.assume_init()
        }
    }

    /// The settings of the terminal, for comparison.
    pub(crate) fn settings(&self) -> String {
        let settings = self.termios();
        let flags = [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag];
        format!("{flags:x?} {:?}", settings.c_cc)
    }

    /// Lines are echoed and edited by the terminal, as a shell wants it.
    pub(crate) fn is_cooked(&self) -> bool {
        let wanted = libc::ECHO | libc::ICANON | libc::ISIG;
        self.termios().c_lflag & wanted == wanted
    }

    pub(crate) fn signal(&self, signal: i32) {
        kill(i32::try_from(self.child.id()).expect("a pid"), signal);
    }

    /// Waits until the program ends by itself.
    pub(crate) fn wait(&mut self) -> Ended {
        let child = &mut self.child;
        eventually("the end of the program", || child.try_wait().expect("the child is ours")).into()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends when the last descriptor of the other side is closed.
fn read(mut master: File, seen: Arc<Mutex<Seen>>) {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        let mut answers = master.try_clone().expect("a descriptor");
        while let Ok(count @ 1..) = master.read(&mut piece) {
            let piece = &piece[..count];
            // A program that asks where the cursor is waits for the answer.
            if piece.windows(4).any(|bytes| bytes == b"\x1b[6n") {
                let _ = answers.write_all(b"\x1b[1;1R");
            }
            let mut seen = seen.lock().expect("not poisoned");
            seen.raw.extend_from_slice(piece);
            seen.screen.write(&String::from_utf8_lossy(piece));
        }
    });
}

/// Rows of characters, as large as what was written to it.
#[derive(Default)]
struct Screen {
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    /// A control sequence that has begun.
    control: Option<String>,
}

impl Screen {
    fn text(&self) -> String {
        let line = |row: &Vec<char>| row.iter().collect::<String>().trim_end().to_owned();
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn write(&mut self, text: &str) {
        for char in text.chars() {
            match self.control.take() {
                Some(mut control) => {
                    control.push(char);
                    let is_over = match control.as_str() {
                        "[" | "]" => false,
                        // An operating system command, such as a title, ends with BEL.
                        other if other.starts_with(']') => char == '\x07',
                        other => !other.starts_with('[') || char.is_ascii_alphabetic() || char == '~',
                    };
                    if is_over { self.obey(&control) } else { self.control = Some(control) }
                }
                None => self.put(char),
            }
        }
    }

    fn put(&mut self, char: char) {
        match char {
            '\x1b' => self.control = Some(String::new()),
            '\r' => self.at.1 = 0,
            '\n' => self.at.0 += 1,
            '\x08' => self.at.1 = self.at.1.saturating_sub(1),
            char if char.is_control() => {}
            char => {
                let (row, column) = self.at;
                let cells = self.row(row);
                if cells.len() <= column {
                    cells.resize(column + 1, ' ');
                }
                cells[column] = char;
                self.at.1 += 1;
            }
        }
    }

    fn row(&mut self, row: usize) -> &mut Vec<char> {
        if self.rows.len() <= row {
            self.rows.resize(row + 1, Vec::new());
        }
        &mut self.rows[row]
    }

    fn obey(&mut self, control: &str) {
        let Some(control) = control.strip_prefix('[') else { return };
        let (numbers, verb) = control.split_at(control.len() - 1);
        let mut numbers: VecDeque<usize> = numbers.split(';').map(|number| number.parse().unwrap_or(0)).collect();
        let first = numbers.pop_front().unwrap_or(0);
        let column = self.at.1;
        match verb {
            "H" => self.at = (first.max(1) - 1, numbers.pop_front().unwrap_or(1).max(1) - 1),
            "A" => self.at.0 = self.at.0.saturating_sub(first.max(1)),
            "B" => self.at.0 += first.max(1),
            "C" => self.at.1 += first.max(1),
            "D" => self.at.1 = self.at.1.saturating_sub(first.max(1)),
            "G" => self.at.1 = first.max(1) - 1,
            "J" if first == 2 => self.rows.clear(),
            "J" => {
                self.rows.truncate(self.at.0 + 1);
                self.row(self.at.0).truncate(column);
            }
            "K" => self.row(self.at.0).truncate(column),
            _ => {}
        }
    }
}
