//! Verdicts on simulated programs of which the truth is known.

mod kinds;
mod simulator;

use kinds::{Kind, LEAKS, STEADY};
use simulator::{GAPS, Program};

use super::Verdict;

/// When each of so many runs of a program was first suspected, and its last verdict.
struct Outcome {
    first: Vec<Option<f64>>,
    wrongly: usize,
}

fn run(kind: &Kind, seeds: u64, seconds: f64) -> Outcome {
    let mut outcome = Outcome { first: Vec::new(), wrongly: 0 };
    for seed in 1..=seeds {
        let gaps = if std::env::var("HEAPQL_TEST_FULL").is_ok() { (1, 3) } else { GAPS };
        let mut program = Program::new((kind.sites)(seed), gaps, seed);
        let (mut first, mut wrongly) = (None, false);
        while program.now() < seconds {
            program.step();
            for site in 0..program.sites.len() {
                if program.judge(site).verdict == Verdict::Growing {
                    if kind.leaks && site == 0 {
                        first = first.or(Some(program.now()));
                    } else {
                        if !wrongly && std::env::var("HEAPQL_TEST_WHY").is_ok() {
                            println!(
                                "{} seed {seed} site {site} at {}: {}",
                                kind.name,
                                program.now(),
                                program.judge(site).why
                            );
                        }
                        wrongly = true;
                    }
                }
            }
        }
        outcome.first.push(first);
        outcome.wrongly += usize::from(wrongly);
    }
    outcome
}

/// For docs/leaks.md: `cargo test -p heapql-registry -- --ignored --nocapture rates`.
#[test]
#[ignore = "a table for the documents, minutes of work"]
fn rates() {
    let seeds = std::env::var("HEAPQL_TEST_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200);
    println!("| leak | by 2 min | by 3 min | by 5 min | by 10 min | other callsites suspected |");
    for kind in LEAKS {
        let outcome = run(kind, seeds, 600.0);
        let by = |seconds: f64| {
            let found = outcome.first.iter().filter(|first| first.is_some_and(|at| at <= seconds)).count();
            format!("{:.0}%", 100.0 * found as f64 / seeds as f64)
        };
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            kind.name,
            by(120.0),
            by(180.0),
            by(300.0),
            by(600.0),
            outcome.wrongly
        );
    }
    println!("| no leak | runs with a suspect in 10 min, of {seeds} |");
    for kind in STEADY {
        println!("| {} | {} |", kind.name, run(kind, seeds, 600.0).wrongly);
    }
}
