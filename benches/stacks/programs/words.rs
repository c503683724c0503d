//! Stacks of many sorts in a Rust release build: collections, closures, trait objects, iterators, threads, panics caught.
//! The argument says how many rounds.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

trait Shape {
    fn text(&self, depth: usize) -> String;
}

struct Leaf(u64);
struct Tree(Vec<Box<dyn Shape>>);

impl Shape for Leaf {
    fn text(&self, depth: usize) -> String {
        format!("{:>depth$}", self.0)
    }
}

impl Shape for Tree {
    fn text(&self, depth: usize) -> String {
        self.0.iter().map(|shape| shape.text(depth + 1)).collect::<Vec<_>>().join(",")
    }
}

fn tree(depth: usize, seed: u64) -> Box<dyn Shape> {
    if depth == 0 {
        return Box::new(Leaf(seed));
    }
    Box::new(Tree((0..3).map(|i| tree(depth - 1, seed * 31 + i)).collect()))
}

fn words(rounds: u64) -> usize {
    let mut count: HashMap<String, Vec<u64>> = HashMap::new();
    let mut sorted: BTreeMap<String, String> = BTreeMap::new();
    for i in 0..rounds * 300 {
        count.entry(format!("word{}", i * 7919 % 1000)).or_default().push(i);
    }
    for (word, list) in &count {
        let mut text = String::new();
        for number in list.iter().filter(|number| **number % 3 == 0) {
            let _ = write!(text, "{number:x} ");
        }
        sorted.insert(word.chars().rev().collect(), text);
    }
    let mut lines: Vec<String> = sorted.into_iter().map(|(word, text)| word + &text).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
    let caught = std::panic::catch_unwind(|| {
        let shape = tree(5, rounds).text(0);
        if cfg!(panic = "unwind") && shape.len() > 10 {
            std::panic::resume_unwind(Box::new(shape));
        }
    });
    lines.len() + usize::from(caught.is_err())
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(10);
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(move || words(rounds))).collect();
    let sum: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    println!("{}", sum + words(rounds));
}
