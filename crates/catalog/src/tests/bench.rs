//! How long the documented table takes at 100,000 distinct stacks. Not a judgement (the engine is not optimised in this
//! profile), only a guard against quadratic work.

use std::time::{Duration, Instant};

use super::House;
use super::ledger::{GLIBC, Recorded};

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
    let seed = "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' ORDER BY alloc_bytes DESC LIMIT 10";
    assert_eq!(client.rows(seed).await[0][8], "99999");
    let took = start.elapsed();
    println!("the seed's query at 100,000 stacks: {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
