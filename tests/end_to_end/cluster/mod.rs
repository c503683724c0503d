//! Three servers as processes that answer as one, with real programs that they record: what they answer together, and that
//! they name a missing server. Many queries against one server with all rows, piece by piece, are the cluster crate's
//! own tests.

mod docker;
mod faults;
mod foreign_peers;
mod generated;
mod load_and_faults;
mod oceanbase_example;
mod query_generator;
mod settings;

use crate::harness::{Answer, Client, Cluster, Program, Recorded, SqlError, eventually};

const OBJECT_BYTES: i64 = 1009;

/// Three servers, and on each one program that holds a known number of objects: the expected answer of each server.
struct Known {
    // Stopped before the servers: in the order of the fields.
    _programs: Vec<Recorded>,
    cluster: Cluster,
    /// The members, by address.
    held: Vec<(String, i64)>,
}

impl Known {
    fn start() -> Known {
        let cluster = Cluster::of(3);
        let (mut programs, mut held) = (Vec::new(), Vec::new());
        for (number, member) in cluster.members().iter().enumerate() {
            let count = [107, 211, 401][number];
            let mut program = member.record(Program::new("exact.c").path(), &[], (1, 1));
            program.order(&format!("malloc {count} {OBJECT_BYTES}"));
            programs.push(program);
            held.push((member.address.clone(), count));
        }
        Known { _programs: programs, cluster, held }
    }

    fn address(&self, number: usize) -> &str {
        &self.held[number].0
    }

    /// Waits for an answer that lacks these servers and no others. Until then every answer is right for the servers that it
    /// does not lack: on a busy machine any server may be late.
    fn assert_lacks(&self, client: &mut dyn Client, kind: Ask, missing: &[&str]) {
        eventually(&format!("{kind:?} to lack {missing:?}"), || match try_ask(&self.held, client, kind) {
            Ok(lacking) => (lacking == missing).then_some(()),
            Err(error) if is_incomplete(&error) => None,
            Err(error) => panic!("{}: {error}", client.protocol()),
        });
    }
}

/// Whether a statement was refused because a server did not answer, as `cluster_strict` demands.
fn is_incomplete(error: &SqlError) -> bool {
    error.number == Some(1429) || error.state == "58000"
}

/// Asks for the programs' objects. The answer is right for all servers but those that a warning names: these.
fn try_ask(held: &[(String, i64)], client: &mut dyn Client, kind: Ask) -> Result<Vec<String>, SqlError> {
    let answer = client.try_query(&kind.sql())?;
    let warnings = client.try_warnings()?;
    let is_named = |address: &str| warnings.iter().any(|warning| warning.contains(address));
    let (missing, there): (Vec<_>, Vec<_>) = held.iter().cloned().partition(|(address, _)| is_named(address));
    assert_eq!(kind.said(&answer), kind.expected(&there), "{kind:?} with the warnings {warnings:?}");
    Ok(missing.into_iter().map(|(address, _)| address).collect())
}

/// A kind of query: plans of different shapes, each of which must be complete or name what it lacks.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Rows,
    Sums,
    Top,
    Union,
    Join,
}

impl Ask {
    const ALL: [Ask; 5] = [Ask::Rows, Ask::Sums, Ask::Top, Ask::Union, Ask::Join];

    fn sql(self) -> String {
        let table = "__all_virtual_malloc_sample_info";
        let ours =
            format!("mod_name = 'glibc_malloc' AND alloc_count > 0 AND alloc_bytes = alloc_count * {OBJECT_BYTES}");
        match self {
            Ask::Rows => format!("SELECT svr_ip, svr_port, alloc_count FROM {table} WHERE {ours}"),
            Ask::Sums => format!("SELECT count(*) AS n, sum(alloc_count) AS objects FROM {table} WHERE {ours}"),
            Ask::Top => {
                format!(
                    "SELECT svr_ip, svr_port, alloc_count FROM {table} WHERE {ours} ORDER BY alloc_count DESC LIMIT 2"
                )
            }
            Ask::Union => format!(
                "SELECT svr_ip, svr_port, alloc_count FROM {table} WHERE {ours} AND alloc_count < 300 UNION ALL \
                 SELECT svr_ip, svr_port, alloc_count FROM {table} WHERE {ours} AND alloc_count >= 300"
            ),
            // A server that is missing on one side only would be in the answer, without a partner.
            Ask::Join => format!(
                "SELECT a.svr_ip, a.svr_port, b.alloc_count FROM (SELECT * FROM {table} WHERE {ours}) a \
                 LEFT JOIN (SELECT * FROM {table} WHERE {ours}) b ON a.svr_ip = b.svr_ip AND a.svr_port = b.svr_port"
            ),
        }
    }

    /// The rows in a fixed order, as in the next.
    fn said(self, answer: &Answer) -> Vec<String> {
        let mut rows: Vec<String> = answer.rows.iter().map(|row| row.join(" ")).collect();
        rows.sort();
        rows
    }

    fn expected(self, held: &[(String, i64)]) -> Vec<String> {
        if let Ask::Sums = self {
            let sum: i64 = held.iter().map(|(_, count)| count).sum();
            return vec![if held.is_empty() { "0 NULL".to_owned() } else { format!("{} {sum}", held.len()) }];
        }
        let mut held = held.to_vec();
        if let Ask::Top = self {
            held.sort_by_key(|(_, count)| -count);
            held.truncate(2);
        }
        let mut rows: Vec<String> =
            held.iter().map(|(address, count)| format!("{} {count}", address.replace(':', " "))).collect();
        rows.sort();
        rows
    }
}
