//! Inlined methods, closures, generics of the standard library. Compiled by tests/oracle.rs; symbolised, never run.
use std::collections::HashMap;
use std::fmt;

mod shop {
    pub struct Item {
        pub name: String,
    }
    impl Item {
        #[inline(always)]
        pub fn new(i: usize) -> Item {
            Item { name: format!("item number {i} of many") }
        }
    }
}

impl fmt::Display for shop::Item {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "<{}>", self.name)
    }
}

fn main() {
    let mut all: Vec<shop::Item> = Vec::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for i in 0..std::env::args().count() * 10 {
        all.push(shop::Item::new(i));
        *counts.entry(all[i].to_string()).or_default() += i;
    }
    let names: Vec<_> = all.iter().map(|i| i.name.clone()).collect();
    println!("{} {}", names.len(), counts.len());
}
