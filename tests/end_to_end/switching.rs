//! The three modes inside a running program, by ALTER SYSTEM SET alone, from its next allocations on.

use crate::full_mode::rows_of_size;
use crate::harness::{Client, Launch, Program};

fn set(client: &mut dyn Client, min: u32, max: u32) {
    client.query(&format!("ALTER SYSTEM SET _min_malloc_sample_interval={min}"));
    client.query(&format!("ALTER SYSTEM SET _max_malloc_sample_interval={max}"));
}

#[test]
fn zero_full_and_normal_mode_take_effect_at_the_next_allocation() {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).start();
    server.ready();
    for mut client in server.clients() {
        let client = client.as_mut();
        set(client, 10_000, 10_000);
        server.order("malloc 20000 1009");
        assert_eq!(rows_of_size(client, 1009), [], "zero mode records nothing");

        set(client, 1, 1);
        server.order("calloc 321 1013");
        assert_eq!(rows_of_size(client, 1013), [(321, 321 * 1013)], "full mode records everything");
        assert_eq!(rows_of_size(client, 1009), [], "but nothing from before");

        set(client, 16, 256);
        server.order("realloc 20000 1019");
        let samples: i64 = rows_of_size(client, 1019).iter().map(|&(count, _)| count).sum();
        assert!((20_000 / 256..=20_000 / 16).contains(&samples), "{samples} samples in normal mode");

        set(client, 10_000, 10_000);
        assert_eq!(rows_of_size(client, 1013), [(321, 321 * 1013)], "zero mode keeps what was recorded");
        for kind in ["malloc", "calloc", "realloc"] {
            server.order(&format!("free {kind} 20000"));
        }
        for bytes in [1009, 1013, 1019] {
            assert_eq!(rows_of_size(client, bytes), [], "until it is freed");
        }
    }
}

#[test]
fn an_inconsistent_pair_leaves_the_last_consistent_one_in_force() {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1).start();
    server.ready();
    let mut client = server.mysql();
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval=10000");
    assert_eq!(client.warnings().len(), 1);
    server.order("malloc 100 1009");
    assert_eq!(rows_of_size(&mut client, 1009), [(100, 100 * 1009)], "1/1 is still in force");
    client.query("ALTER SYSTEM SET _max_malloc_sample_interval=10000");
    assert!(client.warnings().is_empty());
    server.order("calloc 100 1013");
    assert_eq!(rows_of_size(&mut client, 1013), [], "10000/10000 is");
}

#[test]
fn processes_that_start_later_begin_with_the_intervals_in_force() {
    let program = Program::new("exact.c").path();
    let script = "read line; exec \"$0\"";
    let mut server = Launch::run("/bin/sh", &["-c", script, program.to_str().expect("UTF-8")]).start();
    let mut client = server.mysql();
    client.query("ALTER SYSTEM SET _min_malloc_sample_interval=1, _max_malloc_sample_interval=1");
    server.say("go");
    server.ready();
    server.order("malloc 77 1009");
    assert_eq!(rows_of_size(&mut client, 1009), [(77, 77 * 1009)]);
}

#[test]
fn the_depth_of_stacks_changes_for_new_ones_and_the_documented_table_shows_sixteen() {
    let mut server = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1).start();
    server.ready();
    let mut client = server.postgres();
    for (bytes, depth) in [(1009, 32), (1013, 128), (1019, 16)] {
        client.query(&format!("ALTER SYSTEM SET _malloc_sample_depth = {depth}"));
        server.order(&format!("deep 10 {bytes}"));
        let found = client.query(&format!(
            "SELECT depth FROM heapql.callsites WHERE sampled_live_bytes = {} AND sampled_live_count = 10",
            10 * bytes
        ));
        let found = found.number();
        // 60 calls of one function, and those that lead there.
        assert!(if depth == 128 { (64..128).contains(&found) } else { found == depth }, "{found} at {depth}");
        let words = client.query(&format!(
            "SELECT DISTINCT regexp_count(back_trace, ' ') FROM __all_virtual_malloc_sample_info WHERE alloc_bytes = {}",
            10 * bytes
        ));
        assert!(words.number() <= 16, "the documented table keeps to its sixteen frames");
        server.order("free deep 10");
    }
}
