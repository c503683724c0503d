//! Estimates against the truth in normal mode: few large blocks, whatever happens meanwhile; programs whose next call depends on
//! what they saw; and that a program sees nothing of being sampled.

use std::path::Path;
use std::process::Command;

use crate::harness::{Client, Launch, Program, tool};

const MIB: i64 = 1 << 20;

/// The estimate of the callsite that holds most, and its error.
fn largest(client: &mut dyn Client) -> (i64, i64) {
    let answer = client.query(
        "SELECT est_bytes, est_bytes_error FROM heapql.callsites WHERE label = 'glibc_malloc' ORDER BY 1 DESC LIMIT 1",
    );
    (answer.numbers("est_bytes")[0], answer.numbers("est_bytes_error")[0])
}

#[test]
fn large_blocks_are_counted_exactly() {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).start();
    server.ready();
    let mut client = server.mysql();
    for (mib, count) in [(12, 10), (6, 20), (5, 64), (1, 100), (20, 3)] {
        server.order(&format!("malloc {count} {}", mib * MIB));
        assert_eq!(largest(&mut client), (count * mib * MIB, 0), "{count} of {mib} MiB");
        server.order(&format!("free malloc {count}"));
    }
}

/// Each change of the intervals begins all gaps anew.
#[test]
fn large_blocks_are_counted_exactly_while_intervals_change() {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).start();
    server.ready();
    let mut client = server.mysql();
    for nth in 0..10 {
        client.query(&format!("ALTER SYSTEM SET _max_malloc_sample_interval = {}", 256 - nth % 2));
        server.order(&format!("malloc 1 {}", 12 * MIB));
    }
    assert_eq!(largest(&mut client), (120 * MIB, 0));
}

/// Many processes with few blocks below the size that is certain: the mean of the estimates is right, and so are their errors.
#[test]
fn estimates_of_middling_blocks_are_right_on_average_and_their_errors_too() {
    const PROCESSES: usize = 60;
    let program = Program::new("blocks.c").path();
    for (kib, count, small) in [(700, 40, 0), (200, 150, 20)] {
        let script = format!(
            "i=0; while [ $i -lt {PROCESSES} ]; do \"$0\" {kib} {count} {small}; i=$((i + 1)); done; echo ready; read line"
        );
        let server = Launch::run("/bin/sh", &["-c", &script, program.to_str().expect("UTF-8")]).start();
        server.ready();
        let answer = server.mysql().query(&format!(
            "SELECT est_bytes, est_bytes_error FROM heapql.callsites WHERE sampled_live_bytes >= {} \
             AND pid IN (SELECT pid FROM heapql.processes WHERE program LIKE '%/blocks')",
            (kib << 10) * 3
        ));
        let truth = (kib << 10) as f64 * f64::from(count);
        let estimates: Vec<(f64, f64)> = (answer.numbers("est_bytes").into_iter())
            .zip(answer.numbers("est_bytes_error"))
            .map(|(estimate, error)| (estimate as f64 / truth, error as f64 / truth))
            .collect();
        assert_eq!(estimates.len(), PROCESSES, "{estimates:?}");
        let mean = estimates.iter().map(|(estimate, _)| estimate).sum::<f64>() / PROCESSES as f64;
        let spread =
            (estimates.iter().map(|(estimate, _)| (estimate - mean).powi(2)).sum::<f64>() / PROCESSES as f64).sqrt();
        let off = (mean - 1.0).abs() / (spread / (PROCESSES as f64).sqrt());
        assert!(off < 4.5, "{kib} KiB: a mean of {mean} with a spread of {spread}");
        let covered = estimates.iter().filter(|(estimate, error)| (estimate - 1.0).abs() <= 1.96 * error).count();
        // 57 of 60 on average, with a standard deviation of 1.7.
        assert!(covered >= 49, "{kib} KiB: {covered} of {PROCESSES} intervals hold the truth: {estimates:?}");
        assert!(estimates.iter().all(|&(_, error)| error > 0.0), "chance had a part in all: {estimates:?}");
    }
}

/// Bytes that `adversary.c` holds in a mode.
fn held(mode: u32) -> f64 {
    100_000.0
        * match mode {
            3 => 608.0,
            7 => 272.0,
            _ => 304.0,
        }
}

#[test]
fn a_program_that_looks_at_what_it_got_is_estimated_like_any_other() {
    let program = Program::new("adversary.c").path();
    for mode in 0..8 {
        let server = Launch::run(&program, &[&mode.to_string()]).start();
        server.ready();
        let answer = server.mysql().query("SELECT sum(est_bytes) FROM heapql.callsites WHERE label = 'glibc_malloc'");
        let share = answer.number() as f64 / held(mode);
        // 735 samples at gaps that vary by half: a standard deviation of 0.019.
        assert!((share - 1.0).abs() < 0.1, "mode {mode}: {share} of the truth");
    }
}

#[test]
fn a_program_sees_nothing_of_being_sampled() {
    let program = Program::new("seen.c").path();
    let path = |name| Path::new("/usr/lib/x86_64-linux-gnu").join(name).to_str().expect("UTF-8").to_owned();
    let others = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"].map(path);
    for (allocator, preload) in [("glibc", "")].into_iter().chain(others.iter().map(|path| ("another", path.as_str())))
    {
        for seed in ["1", "2"] {
            let arguments = [seed, "8000", allocator];
            let mut plain = Command::new(&program);
            if !preload.is_empty() {
                plain.env("LD_PRELOAD", preload);
            }
            let plain = tool(plain.args(arguments), "");
            assert!(plain.ok().ends_with("done\n"), "{plain:?}");
            for (min, max) in [(1, 1), (1, 16), (16, 256)] {
                let launch = Launch::run(&program, &arguments).intervals(min, max).flag("--quiet");
                let launch = if preload.is_empty() { launch } else { launch.env("LD_PRELOAD", preload) };
                let recorded = tool(&mut launch.command(), "");
                let differs = plain.stdout.lines().zip(recorded.stdout.lines()).find(|(one, other)| one != other);
                assert_eq!(differs, None, "{preload} {seed} {min}..{max}");
                assert_eq!(recorded, plain, "{preload} {seed} {min}..{max}");
            }
        }
    }
}
