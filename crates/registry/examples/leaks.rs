//! Scratch: records histories of ledgers and judges them. To be deleted when SQL has leak_suspects.
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::{Duration, SystemTime};

use heapql_registry::verdict::{Point, ProcessPoint, Verdict, judge};
use heapql_registry::{Registry, Settings};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments[1].as_str() {
        "record" => record(&arguments[2], &arguments[3], arguments[4].parse().unwrap()),
        _ => replay(&arguments[2]),
    }
}

fn record(dir: &str, file: &str, seconds: f64) {
    let registry = Registry::open(Settings::read_only(dir.into())).unwrap();
    let begun = SystemTime::now();
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
    let mut stacks = HashMap::new();
    for round in 1.. {
        let noise = f64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos()) * 1e-9;
        let next = Duration::from_secs_f64(f64::from(round) * 10.0 + (noise - 0.5) * 5.0);
        std::thread::sleep(next.saturating_sub(begun.elapsed().unwrap()));
        if begun.elapsed().unwrap().as_secs_f64() > seconds {
            break;
        }
        for source in registry.sources() {
            let at = source.started_at().elapsed().unwrap_or_default().as_secs_f64();
            let Ok(counters) = source.counters() else { continue };
            for callsite in source.callsites().unwrap_or_default() {
                if stacks.insert((source.pid(), callsite.callsite_id), ()).is_none() {
                    let frames: Vec<_> = callsite.stack.iter().map(|a| format!("{a:x}")).collect();
                    writeln!(out, "S\t{}\t{}\t{}", source.pid(), callsite.callsite_id, frames.join(" ")).unwrap();
                }
            }
            let total: f64 = counters.iter().map(|(_, c)| c.est_total_count).sum();
            writeln!(out, "P\t{}\t{at}\t{total}\t{}", source.pid(), source.program()).unwrap();
            for (id, c) in counters {
                writeln!(
                    out,
                    "C\t{}\t{id}\t{at}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                    source.pid(),
                    c.est_count.value,
                    c.est_bytes.value,
                    c.est_count.error().powi(2),
                    c.est_bytes.error().powi(2),
                    c.est_total_count,
                    c.live_count,
                    c.total_count
                )
                .unwrap();
            }
        }
        out.flush().unwrap();
    }
}

fn replay(file: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut process: BTreeMap<i32, Vec<ProcessPoint>> = BTreeMap::new();
    let mut programs = BTreeMap::new();
    let mut points: BTreeMap<(i32, u64), Vec<Point>> = BTreeMap::new();
    let mut stacks: HashMap<(i32, u64), String> = HashMap::new();
    for line in text.lines() {
        let f: Vec<&str> = line.split('\t').collect();
        let n = |i: usize| f[i].parse::<f64>().unwrap();
        let pid = f[1].parse().unwrap();
        match f[0] {
            "S" => drop(stacks.insert((pid, n(2) as u64), f[3].to_owned())),
            "P" => {
                process.entry(pid).or_default().push(ProcessPoint { at: n(2), total_count: n(3) });
                programs.insert(pid, f[4].to_owned());
            }
            _ => points.entry((pid, n(2) as u64)).or_default().push(Point {
                at: n(3),
                live_count: n(4),
                live_bytes: n(5),
                live_count_variance: n(6),
                live_bytes_variance: n(7),
                total_count: n(8),
                samples_live: n(9) as u64,
                samples_total: n(10) as u64,
            }),
        }
    }
    for ((pid, id), all) in &points {
        let process = &process[pid];
        let mut first = None;
        for end in 1..=process.len() {
            let now = process[end - 1].at;
            let known = all.partition_point(|p| p.at <= now);
            let judged = judge(&all[..known], &process[..end], now);
            if judged.verdict == Verdict::Growing && first.is_none() {
                first = Some((now, judged.why.clone()));
            }
            if end == process.len() {
                let (at, why) = first.clone().unwrap_or((-1.0, String::new()));
                println!(
                    "{}\t{pid}\t{id}\t{at:.0}\t{}\t{}\t{}\t{}\t{why}",
                    programs[pid],
                    judged.verdict.name(),
                    judged.rank_key,
                    stacks.get(&(*pid, *id)).map_or("", |s| s.as_str()),
                    judged.why,
                );
            }
        }
    }
}
