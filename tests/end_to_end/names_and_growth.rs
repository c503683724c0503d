//! Names instead of addresses, and growth over time: frames, symbolize, app_frame, the views, marks and the history. The
//! programs are real, and their leaks and lines are known.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::harness::{Client, Ended, Launch, Program, Server, eventually, scratch};

/// A line of `programs/exact.c`.
const MALLOC_LINE: &str = "SITE void *by_malloc(";

fn exact() -> PathBuf {
    Program::new("exact.c").path()
}

fn recorded(program: &Path) -> Server {
    let server = Launch::run(program, &[]).intervals(1, 1).start();
    server.ready();
    server
}

/// A copy of the program of the tests, treated by binutils.
fn treated(dir: &Path, tools: &[&[&str]]) -> PathBuf {
    let program = dir.join("treated");
    std::fs::copy(exact(), &program).expect("a copy");
    for tool in tools {
        let status = Command::new(tool[0]).args(&tool[1..]).current_dir(dir).status().expect("binutils");
        assert!(status.success(), "{tool:?}");
    }
    program
}

/// (function, file, line, symbol_note) of what holds the objects of a size.
fn app_frame(client: &mut dyn Client, bytes: usize) -> Vec<String> {
    let sql = format!(
        "SELECT function, file, line, symbol_note FROM frames \
         WHERE is_app_frame AND sampled_live_bytes = sampled_live_count * {bytes}"
    );
    client.query(&sql).rows.pop().unwrap_or_else(|| panic!("{}: nothing of {bytes} bytes", client.protocol()))
}

fn line_of(text: &str) -> String {
    let source = include_str!("../programs/exact.c");
    let line = source.lines().position(|line| line.starts_with(text)).expect("the line is there");
    (line + 1).to_string()
}

#[test]
fn a_frame_has_its_function_file_and_line() {
    let mut server = recorded(&exact());
    server.order("malloc 12 1009");
    for mut client in server.clients() {
        let frame = app_frame(&mut *client, 1009);
        assert_eq!(frame[0], "by_malloc");
        assert!(frame[1].ends_with("exact.c"), "{frame:?}");
        assert_eq!(frame[2], line_of(MALLOC_LINE));
        let main = client.query("SELECT count(*) FROM frames WHERE function = 'main' AND sampled_live_bytes = 12108");
        assert_eq!(main.number(), 1, "the frames outside it are there");
    }
}

#[test]
fn symbolize_takes_the_documented_string() {
    let mut server = recorded(&exact());
    server.order("malloc 3 1009");
    for mut client in server.clients() {
        let sql = "SELECT symbolize(back_trace) FROM __all_virtual_malloc_sample_info WHERE alloc_bytes = 3027";
        let text = client.query(sql).value().to_owned();
        assert!(text.starts_with(&format!("by_malloc at exact.c:{}\n", line_of(MALLOC_LINE))), "{text}");
        assert!(text.contains("\nmain at exact.c:"), "{text}");
        // Pasted from elsewhere: a part of a stack, and what is no stack.
        let trace = client.query("SELECT back_trace FROM __all_virtual_malloc_sample_info WHERE alloc_bytes = 3027");
        let first = trace.value().split(' ').next().expect("an address").to_owned();
        let one = client.query(&format!("SELECT symbolize('{first}')"));
        assert!(one.value().starts_with("by_malloc at exact.c:"), "{one:?}");
        assert_eq!(client.query("SELECT symbolize('0xfffffffffff0')").value(), "0xfffffffffff0");
        assert!(client.refused("SELECT symbolize('main')").to_string().contains("main"));
        client.assert_alive();
    }
}

#[test]
fn debug_info_may_be_elsewhere_or_nowhere() {
    let linked: &[&[&str]] = &[
        &["objcopy", "--only-keep-debug", "treated", "treated.debug"],
        &["objcopy", "--strip-debug", "--add-gnu-debuglink=treated.debug", "treated"],
    ];
    let no_lines: &[&[&str]] = &[&["strip", "--strip-debug", "treated"]];
    let nothing: &[&[&str]] = &[&["strip", "--strip-all", "treated"]];
    for (tools, function, has_line) in
        [(linked, "by_malloc", true), (no_lines, "by_malloc", false), (nothing, "treated+0x", false)]
    {
        let dir = scratch();
        let mut server = recorded(&treated(dir.path(), tools));
        server.order("malloc 12 1009");
        let frame = app_frame(&mut server.postgres(), 1009);
        assert!(frame[0].starts_with(function), "{tools:?}: {frame:?}");
        assert_eq!(frame[2] == line_of(MALLOC_LINE), has_line, "{tools:?}: {frame:?}");
    }
}

#[test]
fn a_program_that_was_replaced_gets_no_wrong_name() {
    let dir = scratch();
    let program = treated(dir.path(), &[]);
    let mut server = recorded(&program);
    server.order("malloc 12 1009");
    server.order("calloc 5 401");
    // The running one keeps its file; by its name there is another now.
    std::fs::remove_file(&program).expect("removed");
    std::fs::copy(Program::new("exact.c").flags(&["-DOTHER", "-O0"]).path(), &program).expect("another");
    let mut client = server.postgres();
    assert_eq!(app_frame(&mut client, 1009)[0], "by_malloc", "read through /proc while it runs");
    // When it is gone nothing has the names any more, unless they were looked up before.
    assert_eq!(app_frame(&mut client, 401)[0], "by_calloc");
    drop(client);
    let home = Arc::clone(server.home());
    let mut again = Launch::run(dir.path().join("treated"), &[]).home(&home).intervals(1, 1).start();
    again.ready();
    drop(server);
    again.order("malloc 2 1009");
    assert_eq!(app_frame(&mut again.postgres(), 1009)[0], "by_malloc");
}

#[test]
fn a_dead_program_that_was_replaced_is_said_to_be() {
    let dir = scratch();
    let program = treated(dir.path(), &[]);
    let mut server = Launch::run(&program, &[]).intervals(1, 1).flag("--keep").start();
    let pid = server.ready();
    server.order("malloc 12 1009");
    crate::harness::kill(pid, libc::SIGKILL);
    std::fs::remove_file(&program).expect("removed");
    std::fs::copy(Program::new("exact.c").flags(&["-DOTHER", "-O0"]).path(), &program).expect("another");
    let mut client = server.postgres();
    eventually("the program to be dead", || {
        (client.query(&format!("SELECT state FROM processes WHERE pid = {pid}")).value() == "dead").then_some(())
    });
    let frame = app_frame(&mut client, 1009);
    assert!(frame[0].starts_with("treated+0x"), "{frame:?}");
    assert!(frame[3].contains("build-id"), "{frame:?}");
}

#[test]
fn processes_say_how_they_ended_and_why_nothing_is_recorded() {
    let mut server = Launch::run(exact(), &[]).intervals(10_000, 10_000).flag("--keep").start();
    let pid = server.ready();
    server.order("malloc 12 1009");
    let mut client = server.postgres();
    let of = |column: &str| format!("SELECT coalesce({column}, 'none') FROM processes WHERE pid = {pid}");
    assert!(client.query(&of("why")).value().starts_with("zero mode: "));
    assert_eq!(client.query(&of("exit")).value(), "none");
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval = 1, _max_malloc_sample_interval = 1");
    server.order("malloc 12 1009");
    assert_eq!(client.query(&of("why")).value(), "none");
    crate::harness::kill(pid, libc::SIGKILL);
    eventually("its end", || (client.query(&of("exit")).value() == "killed by SIGKILL").then_some(()));
}

#[test]
fn rules_tell_the_programs_frames_from_others() {
    let mut server = recorded(&exact());
    server.order("malloc 4 1009");
    let mut client = server.mysql();
    let of = |client: &mut dyn Client| {
        client.query("SELECT app_frame FROM callsites WHERE sampled_live_bytes = 4036").value().to_owned()
    };
    assert!(of(&mut client).starts_with("by_malloc at exact.c:"));
    client.query("ALTER SYSTEM SET _app_frame_rules = 'library:function=by_*'");
    assert!(of(&mut client).starts_with("fill at exact.c:"), "{}", of(&mut client));
    let refused = client.refused("ALTER SYSTEM SET _app_frame_rules = 'nonsense'");
    assert_eq!(refused.number, Some(4147), "{refused}");
    assert!(refused.to_string().contains("nonsense"), "{refused}");
    assert!(of(&mut client).starts_with("fill"), "a refused value changes nothing");
}

#[test]
fn views_agree_with_the_tables_that_they_sum() {
    let mut server = Launch::run(exact(), &[]).intervals(1, 1).start();
    let pid = server.ready();
    server.order("malloc 12 1009");
    server.order("deep 3 100");
    for mut client in server.clients() {
        let mut number = |sql: &str| client.query(sql).number();
        let of = |function: &str, column: &str| {
            format!("SELECT {column} FROM live_by_function WHERE function = '{function}' AND state = 'alive'")
        };
        assert_eq!(number(&of("by_malloc", "est_bytes")), 12_108);
        assert_eq!(number(&of("by_malloc", "est_cum_count")), 12);
        // It calls itself 60 times, and is counted once.
        assert_eq!(number(&of("down", "est_cum_bytes")), 300);
        assert_eq!(number(&of("main", "est_bytes")), 0);
        let whole = number("SELECT sum(est_bytes) FROM callsites WHERE NOT is_server");
        // 32 frames are kept of a stack: those of 60 calls do not reach main.
        assert_eq!(number(&of("main", "est_cum_bytes")), whole - 300);
        assert_eq!(number("SELECT sum(est_bytes) FROM live_by_label"), whole);
        assert_eq!(number("SELECT sum(est_bytes) FROM live_by_module"), whole);
        assert_eq!(number("SELECT sum(est_bytes) FROM top"), whole);
        assert_eq!(number(&format!("SELECT est_bytes FROM live_by_process WHERE pid = {pid}")), whole);
        // The server's own C allocations have that label, too.
        let label = "SELECT hold FROM gv$ob_memory WHERE mod_name = 'glibc_malloc'";
        assert!(number(label) >= whole);
        let resident = number(&format!("SELECT rss_bytes FROM process_memory WHERE pid = {pid}"));
        assert!(resident > whole, "{resident} of RSS");
    }
}

#[test]
fn growth_between_marks_is_what_was_allocated_between() {
    let mut server = Launch::run(exact(), &[]).intervals(1, 1).start();
    let pid = server.ready();
    server.order("malloc 10 1009");
    server.order("calloc 7 501");
    let mut client = server.postgres();
    client.query("SELECT mark('before')");
    server.order("malloc 5 1009");
    server.order("free calloc 3");
    let mut mysql = server.mysql();
    mysql.query("SELECT mark('after')");
    server.order("malloc 100 1009");
    let grown = |client: &mut dyn Client, arguments: &str| -> Vec<Vec<String>> {
        let sql = format!(
            "SELECT est_bytes_growth, est_count_growth, est_bytes_growth_error FROM growth({arguments}) \
             WHERE est_bytes_growth <> 0 AND pid = {pid} ORDER BY est_bytes_growth DESC"
        );
        client.query(&sql).rows
    };
    for client in [&mut client as &mut dyn Client, &mut mysql] {
        assert_eq!(grown(client, "'before', 'after'"), [["5045", "5", "0"], ["-1503", "-3", "0"]]);
        assert_eq!(grown(client, "'before'")[0][..2], ["105945", "105"]);
        assert_eq!(grown(client, "'after'")[0][..2], ["100900", "100"]);
        assert_eq!(client.query("SELECT count(*) FROM snapshots WHERE mark IN ('before', 'after')").number(), 2);
        for (wrong, said) in [("'nowhere'", "before"), ("'after', 'before'", "before"), ("", "growth"), ("3", "growth")]
        {
            let refused = client.refused(&format!("SELECT * FROM growth({wrong})")).to_string();
            assert!(refused.contains(said), "{wrong}: {refused}");
        }
        assert!(client.refused("SELECT mark('')").to_string().contains("name of a mark"));
        client.query("SELECT count(*) FROM growth('1 hour')");
        client.assert_alive();
    }
    assert!(["t", "true", "1"].contains(&client.query("SELECT unmark('before')").value()));
    client.refused("SELECT * FROM growth('before')");
}

#[test]
fn the_history_outlives_a_server_that_is_killed() {
    let home = Arc::new(scratch());
    let program = exact();
    let ledgers = home.path().join("ledgers");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "eval \"$(\"$1\" env)\"; exec \"$2\"", "sh"]);
    command.args([AsRef::<Path>::as_ref(crate::harness::heapql()), &program]).env("HEAPQL_DIR", &ledgers);
    command.env("HEAPQL_MIN", "1").env("HEAPQL_MAX", "1");
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let server = Launch::serve(&home).start();
    server.postgres().query("ALTER SYSTEM SET _history_snapshot_interval = 1, _min_malloc_sample_interval = 1, _max_malloc_sample_interval = 1");
    let mut child = command.spawn().expect("a program");
    let lines = crate::harness::Lines::of(child.stdout.take().expect("piped"));
    let mut order = |text: &str| {
        use std::io::Write;
        writeln!(child.stdin.as_mut().expect("piped"), "{text}").expect("it reads");
        assert_eq!(lines.next().as_deref(), Some("ok"));
    };
    assert!(lines.next().expect("ready").starts_with("ready"));
    order("malloc 10 1009");
    let mut client = server.postgres();
    client.query("SELECT mark('before the crash')");
    order("malloc 5 1009");
    let of = "SELECT max(sampled_live_count) FROM history WHERE est_bytes = 1009 * est_count AND pid <> 0";
    eventually("a snapshot with 15", || (client.query(of).number() == 15).then_some(()));
    let before = client.query("SELECT count(*) FROM snapshots").number();
    drop(client);
    server.signal(libc::SIGKILL);
    drop(server);

    let server = Launch::serve(&home).start();
    let mut client = server.postgres();
    assert!(client.query("SELECT count(*) FROM snapshots").number() >= before);
    assert_eq!(client.query(of).number(), 15);
    let grown = "SELECT est_count_growth FROM growth('before the crash') WHERE est_bytes_growth = 5045";
    assert_eq!(client.query(grown).number(), 5);
    let usage = client.query("SELECT value FROM self_usage WHERE name = 'history_disk_bytes'").number();
    assert!(usage > 1000, "{usage} bytes");
    let failed = client.query("SELECT value FROM self_usage WHERE name = 'history_failed_files'").number();
    assert_eq!(failed, 0);
    child.kill().expect("killed");
    child.wait().expect("ended");
}

/// The demo's promise: within two minutes of its start.
#[test]
fn the_demos_leak_is_named_with_function_file_and_line() {
    let mut server = Launch::demo().start();
    let mut client = server.mysql();
    let none = client.query("SELECT * FROM leak_suspects LIMIT 1");
    assert!(none.rows.is_empty(), "{none:?}");
    let why = client.warnings();
    assert!(why.iter().any(|why| why.starts_with("no suspects")), "{why:?}");
    let began = std::time::Instant::now();
    let row = loop {
        let answer = client.query("SELECT verdict, app_frame, why, est_growth_per_minute FROM leak_suspects LIMIT 1");
        if let Some(row) = answer.rows.first() {
            break row.clone();
        }
        // A machine that is busy may take its time; whether two minutes are enough is for a quiet one.
        assert!(began.elapsed().as_secs() < 300, "{:?}", client.query("SELECT verdict, why FROM leak_verdicts"));
        std::thread::sleep(std::time::Duration::from_secs(1));
    };
    assert_eq!(row[0], "growing", "{row:?}");
    assert!(row[1].contains("leak_session at demo_program.rs:"), "{row:?}");
    assert!(row[3].parse::<f64>().is_ok_and(|rate| rate > 0.0), "{row:?}");
    assert_eq!(client.query("SELECT count(*) FROM leak_suspects").number(), 1, "the cache is no leak");
    // Its names are looked up after it is suspected.
    let kept = eventually("the suspect to be kept", || {
        let rows = client.query("SELECT state, app_frame, folded_stack FROM past_suspects").rows;
        (!rows.is_empty()).then_some(rows)
    });
    assert!(kept.len() == 1 && kept[0][0] == "suspected" && kept[0][1] == row[1], "{kept:?}");
    server.signal(libc::SIGTERM);
    assert!(server.wait() == Ended::Status(128 + libc::SIGTERM), "the program's own end");
    let log = server.log();
    let said: Vec<_> = log.lines().skip_while(|line| !line.starts_with("suspect ")).collect();
    assert!(said.len() == 2 && said[0].contains(&row[1]), "{log}");
    assert!(said[1].starts_with("  stack    ") && said[1].contains(&kept[0][2]), "{log}");
    // Another server has it still.
    let serve = Launch::serve(server.home());
    let [before, after] = ["heapql", "data"].map(|dir| server.home().path().join(dir).join("history"));
    std::fs::rename(before, after).expect("moved");
    let after = serve.start();
    let rows = after.mysql().query("SELECT state, app_frame FROM past_suspects").rows;
    assert_eq!(rows, [["ended".to_owned(), row[1].clone()]]);
}
