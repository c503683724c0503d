//! Programs that use the sampler themselves: a Rust program with scoped labels, and the server.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{Client, Launch, Lines, Program, eventually, scratch};

const TABLE: &str = "__all_virtual_malloc_sample_info";

/// A Rust program that uses the sampler, without any preload unless it is asked for.
pub(crate) struct Target {
    child: Child,
    lines: Lines,
}

impl Target {
    /// `programs/rust_target.rs`.
    fn start(home: &Arc<TempDir>, preload: &str) -> Target {
        Target::start_program(env!("CARGO_BIN_EXE_rust-target"), home, preload)
    }

    /// Waits until it says that it is ready.
    pub(crate) fn start_program(program: &str, home: &Arc<TempDir>, preload: &str) -> Target {
        let ledgers = home.path().join("ledgers");
        let script = "eval \"$(\"$1\" env)\"; [ -n \"$3\" ] || unset LD_PRELOAD; exec \"$2\"";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script, "sh"])
            .args([crate::harness::heapql().as_os_str(), program.as_ref(), preload.as_ref()])
            .env("HEAPQL_DIR", ledgers)
            .env("HEAPQL_MIN", "1")
            .env("HEAPQL_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let lines = Lines::of(child.stdout.take().expect("its output is piped"));
        let ready = lines.next().expect("it says ready");
        assert!(ready.starts_with("ready "), "{ready}");
        Target { child, lines }
    }

    fn order(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("its input is piped");
        writeln!(stdin, "{line}").expect("the program reads its input");
        assert_eq!(self.lines.next().as_deref(), Some("ok"), "{line}");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// (tenant_id, ctx_id, mod_name, alloc_count) of all objects of a size.
pub(crate) fn labels_of_size(client: &mut dyn Client, bytes: usize) -> Vec<Vec<String>> {
    let sql = format!(
        "SELECT tenant_id, ctx_id, mod_name, sum(alloc_count) AS n FROM {TABLE} \
         WHERE alloc_count > 0 AND alloc_bytes = alloc_count * {bytes} \
         GROUP BY tenant_id, ctx_id, mod_name ORDER BY tenant_id, mod_name"
    );
    client.query(&sql).rows
}

#[test]
fn a_rust_program_gets_rows_per_label() {
    let home = Arc::new(scratch());
    let mut target = Target::start(&home, "");
    target.order("1005 2 rows_of_memory 200 1009");
    target.order("1006 0 a 100 1009");
    target.order("- - - 50 1009");
    target.order("threads 30 1013");
    let served = Launch::serve(&home).start();
    for mut client in served.clients() {
        let client = client.as_mut();
        let expected =
            [["500", "0", "rust_alloc", "50"], ["1005", "2", "rows_of_memory", "200"], ["1006", "0", "a", "100"]];
        assert_eq!(labels_of_size(client, 1009), expected);
        let expected: Vec<[String; 4]> =
            (0..4).map(|nth| [format!("{}", 1000 + nth), "0".into(), format!("thread{nth}"), "30".into()]).collect();
        assert_eq!(labels_of_size(client, 1013), expected);
    }
    target.order("free");
    assert!(labels_of_size(&mut served.mysql(), 1009).is_empty());
    assert!(labels_of_size(&mut served.mysql(), 1013).is_empty());
}

#[test]
fn a_rust_program_that_is_also_preloaded_is_counted_once() {
    let home = Arc::new(scratch());
    let mut target = Target::start(&home, "preload");
    target.order("1005 2 both 200 1009");
    let served = Launch::serve(&home).start();
    assert_eq!(labels_of_size(&mut served.mysql(), 1009), [["1005", "2", "both", "200"]]);
}

#[test]
fn a_rust_program_obeys_alter_system() {
    let home = Arc::new(scratch());
    let mut target = Target::start(&home, "");
    let served = Launch::serve(&home).start();
    let mut client = served.mysql();
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval=10000, _max_malloc_sample_interval=10000");
    target.order("1005 2 zero 200 1009");
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval=1, _max_malloc_sample_interval=1");
    target.order("1005 2 full 200 1013");
    assert!(labels_of_size(&mut client, 1009).is_empty());
    assert_eq!(labels_of_size(&mut client, 1013), [["1005", "2", "full", "200"]]);
}

#[test]
fn an_idle_server_has_rows_of_its_own() {
    let home = Arc::new(scratch());
    let served = Launch::serve(&home).start();
    for mut client in served.clients() {
        for label in ["sql", "wire", "registry"] {
            eventually(&format!("a row of the label {label}"), || {
                let sql = format!("SELECT tenant_id FROM {TABLE} WHERE mod_name = '{label}'");
                let answer = client.query(&sql);
                assert!(answer.column("tenant_id").iter().all(|&tenant| tenant == "500"), "{answer:?}");
                (!answer.rows.is_empty()).then_some(())
            });
        }
    }
    let answer = served.mysql().query("SELECT pid, state FROM heapql.processes WHERE state = 'alive'");
    assert_eq!(answer.column("pid"), [served.endpoints.pid.to_string()]);
}

#[test]
fn a_label_for_the_program_is_not_the_servers() {
    let program = Program::new("exact.c").path();
    let mut server = Launch::run(program, &[])
        .intervals(1, 1)
        .env("HEAPQL_LABEL", "the_program")
        .env("HEAPQL_TENANT_ID", "1001")
        .start();
    server.ready();
    server.order("malloc 7 1009");
    let mut client = server.mysql();
    assert_eq!(labels_of_size(&mut client, 1009).len(), 1);
    let own = format!("SELECT DISTINCT tenant_id, label FROM heapql.callsites WHERE pid = {}", server.endpoints.pid);
    let own = client.query(&own);
    assert!(!own.rows.is_empty());
    assert!(own.column("tenant_id").iter().all(|&tenant| tenant == "500"), "{own:?}");
    assert!(!own.column("label").contains(&"the_program"), "{own:?}");
}
