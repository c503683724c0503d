// leak: function park_task
// Rust: tasks in a Vec of boxes that nobody drains, 60 per second.
use std::hint::black_box;
use std::time::Duration;

#[inline(never)]
fn park_task(tasks: &mut Vec<Box<[u8; 160]>>) {
    tasks.push(black_box(Box::new([0; 160])));
}

#[inline(never)]
fn handle_request(number: u64) {
    black_box(format!("request {number}").split(' ').map(str::to_owned).collect::<Vec<_>>());
}

fn main() {
    let mut tasks = Vec::new();
    for number in 0.. {
        if number % 5 != 0 {
            park_task(&mut tasks);
        }
        (0..8).for_each(|_| handle_request(number));
        std::thread::sleep(Duration::from_millis(13));
    }
}
