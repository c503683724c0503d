//! Normal mode: every interval lies in [min, max] and is drawn at random; large allocations do not wait for it.

use crate::full_mode::rows_of_size;
use crate::harness::{Client, Launch, Program, Server};

const TABLE: &str = "__all_virtual_malloc_sample_info";

/// How many standard deviations a count may be off: it fails by chance once in more than 10^8 runs.
const SIGMAS: f64 = 6.0;

fn total(client: &mut dyn Client, bytes: i64) -> i64 {
    rows_of_size(client, bytes).iter().map(|&(count, _)| count).sum()
}

#[test]
fn alternating_sites_are_both_sampled() {
    let each = 100_000;
    let server = Launch::run(Program::new("alternate.c").path(), &[&each.to_string()]).start();
    server.ready();
    let mut client = server.mysql();
    let (a, b) = (total(&mut client, 32), total(&mut client, 48));
    let samples = (a + b) as f64;
    // Each interval is even or odd with nearly the same chance, so each sample is of A or B as a coin falls.
    assert!(((a - b) as f64).abs() < SIGMAS * samples.sqrt(), "{a} samples of A, {b} of B");
    let all = f64::from(2 * each);
    assert!(
        samples >= (all / 256.0).floor() - 1.0 && samples <= (all / 16.0).ceil() + 1.0,
        "{samples} samples of {all}"
    );
    // A renewal process: mean interval 136, variance (241^2 - 1) / 12.
    let (mean, variance) = (136.0_f64, (241.0_f64 * 241.0 - 1.0) / 12.0);
    let deviation = (all * variance / mean.powi(3)).sqrt();
    assert!((samples - all / mean).abs() < SIGMAS * deviation + 2.0, "{samples} samples of {all}");
}

/// Positions of the sampled ones among the 8192 allocations of one round of `gaps.c`.
fn sampled_positions(client: &mut dyn Client) -> Vec<i64> {
    // Allocation i is the only one with its stack, and has 16 + i bytes. Its stack passes fifteen frames of the program.
    let answer = client.query(&format!(
        "SELECT alloc_count, alloc_bytes FROM {TABLE} WHERE mod_name = 'gaps' AND back_trace NOT LIKE '% 0x0 0x0 0x0'"
    ));
    assert!(answer.numbers("alloc_count").iter().all(|&count| count == 1), "every allocation has a stack of its own");
    let mut positions: Vec<i64> = answer.numbers("alloc_bytes").into_iter().map(|bytes| bytes - 16).collect();
    positions.sort_unstable();
    assert!(positions.iter().all(|position| (0..8192).contains(position)), "{positions:?}");
    positions
}

fn gaps_program() -> Server {
    let program = Program::new("gaps.c").path();
    let program = program.to_str().expect("a path in UTF-8");
    let server = Launch::run("/usr/bin/env", &["HEAPQL_LABEL=gaps", program]).start();
    server.ready();
    server
}

#[test]
fn every_interval_lies_between_min_and_max() {
    let mut server = gaps_program();
    let mut client = server.postgres();
    for (min, max) in [(16_i64, 256_i64), (5, 9), (100, 100), (1, 2), (1, 1), (3, 40)] {
        client.query(&format!(
            "ALTER SYSTEM SET _min_malloc_sample_interval = {min}, _max_malloc_sample_interval = {max}"
        ));
        server.order("");
        let positions = sampled_positions(&mut client);
        assert!(
            positions.first().is_some_and(|&first| first < max),
            "{min}..{max}: the first is {:?}",
            positions.first()
        );
        assert!(
            positions.last().is_some_and(|&last| last >= 8192 - max),
            "{min}..{max}: the last is {:?}",
            positions.last()
        );
        for pair in positions.windows(2) {
            let gap = pair[1] - pair[0];
            assert!((min..=max).contains(&gap), "{min}..{max}: {gap} allocations between two samples");
        }
        server.order("");
        assert!(sampled_positions(&mut client).is_empty(), "{min}..{max}: after all were freed");
    }
}

#[test]
fn intervals_are_drawn_uniformly() {
    let mut server = gaps_program();
    let mut client = server.mysql();
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval = 5, _max_malloc_sample_interval = 9");
    let mut seen = [0_i64; 5];
    for _ in 0..3 {
        server.order("");
        for pair in sampled_positions(&mut client).windows(2) {
            seen[usize::try_from(pair[1] - pair[0] - 5).expect("a gap in 5..=9")] += 1;
        }
        server.order("");
    }
    let all: i64 = seen.iter().sum();
    let deviation = (all as f64 * 0.2 * 0.8).sqrt();
    for (nth, &count) in seen.iter().enumerate() {
        let off = (count as f64 - all as f64 / 5.0).abs();
        assert!(off < SIGMAS * deviation, "interval {} came {count} times of {all}: {seen:?}", nth + 5);
    }
}

#[test]
fn sixteen_mebibytes_are_always_sampled_except_in_zero_mode() {
    let bytes = 16 << 20;
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(9999, 10_000).start();
    server.ready();
    let mut client = server.mysql();
    server.order(&format!("malloc 5 {bytes}"));
    assert_eq!(rows_of_size(&mut client, bytes), [(5, 5 * bytes)]);
    server.order("free malloc 3");
    assert_eq!(rows_of_size(&mut client, bytes), [(2, 2 * bytes)]);
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval = 10000, _max_malloc_sample_interval = 10000");
    server.order(&format!("calloc 5 {}", bytes + 1));
    assert_eq!(rows_of_size(&mut client, bytes + 1), []);
    assert_eq!(rows_of_size(&mut client, bytes), [(2, 2 * bytes)], "samples from before zero mode stay");
    server.order("free malloc 2");
    assert_eq!(rows_of_size(&mut client, bytes), [], "until they are freed");
}

#[test]
fn a_mebibyte_and_more_is_always_sampled() {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(16, 10_000).start();
    server.ready();
    for bytes in [1 << 20, (1 << 20) + 1, 5 << 20] {
        server.order(&format!("malloc 80 {bytes}"));
        assert_eq!(total(&mut server.mysql(), bytes), 80, "{bytes} bytes");
        server.order("free malloc 80");
    }
}
