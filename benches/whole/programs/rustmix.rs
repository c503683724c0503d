//! Maps, strings and vectors as Rust programs use them. `rustmix [ROUNDS]`.
//!
//! On the system's allocator; `rustmix_recorded` is the same under `SamplingAlloc`. Run by run.py.

use std::collections::{BTreeMap, HashMap};

pub(crate) fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(40, |rounds| rounds.parse().expect("a number"));
    let mut sum = 0;
    for round in 0..rounds {
        let mut tree: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut table: HashMap<usize, Box<str>> = HashMap::new();
        for i in 0..5000 {
            let key = format!("key number {} of the round", i * 7919 % 1000);
            table.insert(i, format!("{key} {round}").into_boxed_str());
            tree.entry(key).or_default().push(i);
            if i % 3 == 0 {
                table.remove(&(i / 2));
            }
        }
        sum += tree.values().map(Vec::len).sum::<usize>() + table.values().map(|text| text.len()).sum::<usize>();
    }
    assert!(sum > rounds, "nothing was kept");
}
