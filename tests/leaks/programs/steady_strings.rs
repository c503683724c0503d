// steady: Rust; a HashMap of at most 2,000 strings, and short-lived collections
use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::time::Duration;

#[inline(never)]
fn remember(map: &mut HashMap<u64, String>, order: &mut VecDeque<u64>, key: u64) {
    map.insert(key, black_box(format!("value of {key:>40}")));
    order.push_back(key);
    if order.len() > 2000 {
        let oldest = order.pop_front().expect("not empty");
        map.remove(&oldest);
    }
}

#[inline(never)]
fn handle_request(number: u64) {
    black_box(format!("request {number}").split(' ').map(str::to_owned).collect::<Vec<_>>());
}

fn main() {
    let (mut map, mut order) = (HashMap::new(), VecDeque::new());
    for number in 0.. {
        (0..3).for_each(|part| remember(&mut map, &mut order, number * 3 + part));
        (0..8).for_each(|_| handle_request(number));
        std::thread::sleep(Duration::from_millis(20));
    }
}
