//! Everything at once, for twenty seconds: threads that allocate in all ways, load libraries, fork and take signals,
//! while the intervals change ten times a second, a client asks without a pause, and the server is killed and started
//! again. At the end the counts are exact.
//!
//! For longer: `HEAPQL_SOAK_SECONDS=600 cargo test --workspace --test end_to_end soak -- --nocapture`.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{
    Client, Endpoints, Launch, Lines, Login, Mysql, Postgres, Program, Server, library, record_into, scratch,
};

/// `programs/soak.c`, killed with its test.
struct Soaked {
    child: Child,
    lines: Lines,
}

impl Soaked {
    fn start(home: &Arc<TempDir>) -> Soaked {
        let library = library(home.path());
        let mut command = Command::new(Program::new("soak.c").flags(&["-fno-builtin"]).path());
        command.arg(library).stdin(Stdio::piped()).stdout(Stdio::piped());
        record_into(&mut command, &home.path().join("ledgers"), (1, 1));
        let mut child = command.spawn().expect("the program can be started");
        let lines = Lines::of(child.stdout.take().expect("its output is piped"));
        Soaked { child, lines }
    }

    fn hear(&self) -> String {
        self.lines.next().expect("the program goes on")
    }

    fn order(&mut self, line: &str) -> String {
        writeln!(self.child.stdin.as_mut().expect("its input is piped"), "{line}").expect("the program reads");
        self.hear()
    }
}

impl Drop for Soaked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that asks all the time, whichever server there is.
struct Asker {
    endpoints: Mutex<Endpoints>,
    over: AtomicBool,
    answers: AtomicU64,
}

impl Asker {
    fn ask(&self) {
        const QUERIES: [&str; 3] = [
            "SELECT sum(alloc_count), sum(alloc_bytes) FROM __all_virtual_malloc_sample_info",
            "SELECT label, count(*), sum(sampled_live_bytes) FROM heapql.callsites GROUP BY label",
            "SELECT pid, state, loss_count FROM heapql.processes",
        ];
        while !self.over.load(Relaxed) {
            let address = self.endpoints.lock().expect("no thread panics with it").postgres.clone();
            let Ok(mut client) = Postgres::connect(&address, &Login::root()) else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            // Until the server is killed.
            while let Some(query) = QUERIES.get(self.answers.load(Relaxed) as usize % QUERIES.len())
                && !self.over.load(Relaxed)
                && client.try_query(query).is_ok()
            {
                self.answers.fetch_add(1, Relaxed);
            }
        }
    }
}

fn switch(client: &mut Mysql, (min, max): (u32, u32)) -> bool {
    let sql = format!("ALTER SYSTEM SET _min_malloc_sample_interval = {min}, _max_malloc_sample_interval = {max}");
    client.try_query(&sql).is_ok()
}

/// Changes the intervals for some seconds, then kills the server. Returns how often it did.
fn torment(server: Server, modes: &mut impl Iterator<Item = (u32, u32)>, until: Instant) -> u64 {
    let mut changes = 0;
    let mut client = server.mysql();
    while Instant::now() < until {
        let mode = modes.next().expect("endless");
        assert!(switch(&mut client, mode), "the server takes {mode:?}");
        changes += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    server.signal(libc::SIGKILL);
    changes
}

/// Live samples of the program's own, by label.
fn live(client: &mut dyn Client, pid: u32, label: &str) -> (i64, i64) {
    let answer = client.query(&format!(
        "SELECT coalesce(sum(sampled_live_count), 0) AS n, coalesce(sum(sampled_live_bytes), 0) AS b \
         FROM heapql.callsites WHERE pid = {pid} AND label = '{label}'"
    ));
    (answer.numbers("n")[0], answer.numbers("b")[0])
}

/// The objects that `known` of the program leaves at each order: 1,000, 500 and 750.
const KNOWN: (i64, i64) = (2250, 1000 * 1601 + 500 * 1607 + 750 * 1609);

#[test]
fn counts_are_exact_after_everything_at_once() {
    let seconds = std::env::var("HEAPQL_SOAK_SECONDS").map_or(20, |text| text.parse().expect("a number of seconds"));
    let end = Instant::now() + Duration::from_secs(seconds);
    let home = Arc::new(scratch());
    let mut program = Soaked::start(&home);
    let pid = program.child.id();
    assert_eq!(program.hear(), format!("ready {pid}"));
    let mut server = Launch::serve(&home).start();
    let asker = Arc::new(Asker {
        endpoints: Mutex::new(server.endpoints.clone()),
        over: AtomicBool::new(false),
        answers: AtomicU64::new(0),
    });
    let asking = std::thread::spawn({
        let asker = asker.clone();
        move || asker.ask()
    });
    let mut modes = [(1, 1), (16, 256), (10_000, 10_000), (1, 16), (256, 4096)].into_iter().cycle();
    let (mut servers, mut changes) = (1_u64, 0);
    while Instant::now() < end {
        changes += torment(server, &mut modes, end.min(Instant::now() + Duration::from_secs(4)));
        server = Launch::serve(&home).start();
        *asker.endpoints.lock().expect("no thread panics with it") = server.endpoints.clone();
        servers += 1;
    }
    let mut client = server.mysql();
    assert!(switch(&mut client, (1, 1)));
    let said = program.order("quiet");
    asker.over.store(true, Relaxed);
    asking.join().expect("asking does not panic");
    let losses = client.query(&format!("SELECT name, value FROM heapql.self_usage WHERE pid = {pid} AND value > 0"));
    let answers = asker.answers.load(Relaxed);
    println!("{seconds} s: {said}; {servers} servers, {changes} changes, {answers} answers; {:?}", losses.rows);
    assert!(said.starts_with("quiet "), "{said}");
    assert!(answers > 0 && changes > 0);
    assert_eq!(live(&mut client, pid, "soak"), (0, 0), "all that was freed");
    assert_eq!(live(&mut client, pid, "known"), KNOWN, "what was held all the time");
    // The mode is in force, so what is allocated now is counted, every object.
    assert_eq!(program.order("known"), "ok");
    assert_eq!(live(&mut client, pid, "known"), (2 * KNOWN.0, 2 * KNOWN.1));
    assert_eq!(program.order("quit"), "all hold");
}
