//! Deep and many stacks: what is built is bounded, on a thread whose own stack is small.

use std::sync::Arc;

use super::{location_of, profile_of, stack_of};
use crate::{FlameGraph, FlameOptions, Profile, Value, folded, pprof};

/// Every format, on a stack of 768 KiB: recursion over 20,000 frames would not fit.
fn written(profile: Profile) -> Vec<usize> {
    let write = move || {
        let options = FlameOptions { least_fraction: 0.0, ..FlameOptions::default() };
        let flame = FlameGraph::new(&profile, options);
        let difference = FlameGraph::difference(&profile_of([]), &profile, options);
        let folded = folded(&profile, Value::LiveBytes);
        [flame.svg().len(), flame.html().len(), difference.html().len(), folded.len(), pprof(&profile).len()].to_vec()
    };
    std::thread::Builder::new().stack_size(768 << 10).spawn(write).expect("a thread").join().expect("no overflow")
}

#[test]
fn deep_stacks() {
    let locations: Vec<_> = (0..20_000).map(|i| Arc::new(location_of(&format!("recursion_{i}")))).collect();
    let stacks = (0..50).map(|i| {
        let mut stack = stack_of("", 1.0);
        stack.locations = locations[i..].to_vec();
        stack
    });
    let sizes = written(profile_of(stacks));
    assert!(sizes.iter().all(|&size| size < 16 << 20), "{sizes:?}");
}

#[test]
fn many_stacks() {
    let locations: Vec<_> = (0..2000).map(|i| Arc::new(location_of(&format!("function_{i}")))).collect();
    let stacks = (0..100_000_usize).map(|i| {
        let mut stack = stack_of("", (i % 97 + 1) as f64);
        // No two are equal, and they part early.
        stack.locations =
            (0..30).map(|depth| Arc::clone(&locations[(i * 31 + depth * (i / 2000 + 7)) % 2000])).collect();
        stack
    });
    let profile = profile_of(stacks);
    let sum = profile.sum(Value::LiveBytes);
    let folded = folded(&profile, Value::LiveBytes);
    let values = folded.lines().map(|line| line.rsplit_once(' ').expect("a value").1.parse::<f64>().expect("a number"));
    assert_eq!(values.sum::<f64>(), sum);
    let svg = FlameGraph::new(&profile, FlameOptions::default()).svg();
    assert!(svg.contains("too narrow to be drawn"), "{}", &svg[..2000]);
    assert!(svg.contains("there are too many different ones"), "{}", &svg[..2000]);
    let sizes = written(profile);
    assert!(sizes[0] < 8 << 20 && sizes[1] < 8 << 20 && sizes[3] <= 65 << 20, "{sizes:?}");
}
