//! How long the documented table takes at 100,000 distinct stacks, and the verdicts at 5,000 callsites. Not a judgement (the engine is not optimised in this
//! profile), only a guard against quadratic work.

use std::time::{Duration, Instant, SystemTime};

use heapql_registry::{Tier, Tiers};

use super::House;
use super::ledger::GLIBC;
use super::ledger::Recorded;

#[tokio::test]
async fn a_hundred_thousand_stacks() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), 64 << 20);
    for stack in 0..100_000 {
        let frames: Vec<usize> = (0..20).map(|frame| 0x5555_0000_0000 + stack * 64 + frame).collect();
        process.live(&GLIBC, &frames, 1, stack as u64);
    }
    let client = house.mysql();
    assert_eq!(client.one("select count(*) from __all_virtual_malloc_sample_info").await, "100000");
    let start = Instant::now();
    let example = "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' ORDER BY alloc_bytes DESC LIMIT 10";
    assert_eq!(client.rows(example).await[0][8], "99999");
    let took = start.elapsed();
    println!("the example at 100,000 stacks: {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// Prints what docs/explanation/history.md says: `cargo test --workspace --lib five_thousand -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn five_thousand_callsites_at_a_thousand_snapshots() {
    let house = House::new();
    let span = Duration::from_secs(10_000);
    let process = Recorded::new(house.folder.path(), 64 << 20).aged(span);
    let site = |stack: usize| -> Vec<usize> { (0..20).map(|frame| 0x1000 + stack * 64 + frame).collect() };
    let ids: Vec<u32> = (0..5000).map(|stack| process.live(&GLIBC, &site(stack), 10, 100)).collect();
    let tier = Tier { every: Duration::from_secs(10), keep: Duration::from_secs(100_000) };
    let tiers = Tiers { tiers: [tier; 3], memory_bytes: 1 << 30 };
    let sources = house.server.registry().sources();
    let began = SystemTime::now() - span;
    let mut taking = Duration::ZERO;
    for snapshot in 0..1000_u64 {
        // Each does something: half of what comes goes again, and one in a hundred leaks.
        for (nth, id) in (0_u64..).zip(&ids) {
            process.count(*id, 100);
            if nth % 100 != 0 && snapshot % 2 == 0 {
                process.free(*id, 100);
                process.free(*id, 100);
                process.count(*id, 100);
            }
        }
        let start = Instant::now();
        house.server.history().take(&sources, began + Duration::from_secs(10 * snapshot), &tiers);
        taking += start.elapsed();
    }
    println!("a snapshot of 5,000 changed callsites: {:?}", taking / 1000);
    let client = house.mysql();
    let usage = |name: &str| format!("SELECT value FROM self_usage WHERE name = '{name}'");
    println!("memory of 1,000 snapshots: {} bytes", client.one(&usage("history_bytes")).await);
    // A file holds the callsites that changed: here all of them.
    let files = super::server_with_history(house.folder.path());
    let folder = house.folder.path().join("history");
    for mark in 0..20_u64 {
        for (nth, id) in (0_u64..).zip(&ids) {
            // Of different sizes, different numbers.
            (0..=(nth * 7 + mark * 13) % 5).for_each(|_| process.count(*id, 16 + (nth * 31 + mark * 17) % 4000));
        }
        files.server().mark(&format!("mark {mark}")).expect("marked");
    }
    let sizes =
        std::fs::read_dir(folder).expect("files").map(|entry| entry.expect("one").metadata().expect("its").len());
    println!("a file of 5,000 changed callsites: {} bytes", sizes.sum::<u64>() / 20);
    for query in
        ["SELECT count(*) FROM leak_suspects", "SELECT * FROM leak_suspects LIMIT 1", "SELECT count(*) FROM snapshots"]
    {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            client.rows(query).await;
            times.push(start.elapsed());
        }
        times.sort();
        println!("{query}: {:?}", times[2]);
    }
}
