//! The first lines of `run` and `serve`: commands that connect, and the next statement, filled in so that they can be pasted.
//!
//! They go to stderr. Called by those verbs.

use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use heapql_server::suspects::SuspectRecord;

use crate::addresses::reachable;
use crate::service::Service;
use crate::shell::quote;
use crate::stderr::say;

/// Prints the next statements: what holds the heap, and, once there is a history of it, what leaks.
fn next() {
    say!("next       SELECT app_frame, est_bytes FROM live_by_callsite ORDER BY est_bytes DESC LIMIT 10;");
    say!("in 2 min   SELECT * FROM leak_suspects;");
}

/// Prints the banner of `run`. `how` describes the sampling.
pub(crate) fn recording(service: &Service, title: &str, pid: u32, how: &str) {
    say!("recording  {title}  pid {pid}  tenant sys  {how}");
    clients(service);
    next();
}

/// Prints the banner of `serve`. `is_default` tells that `heapql env` finds the directory by itself.
pub(crate) fn serving(service: &Service, root: &Path, is_default: bool) {
    let root = quote(&root.to_string_lossy());
    say!("serving    every process recorded in {root}  pid {}", std::process::id());
    clients(service);
    let dir = if is_default { String::new() } else { format!(" --dir {root}") };
    say!("record     eval \"$(heapql env{dir})\"    # and start programs from that shell");
    next();
}

/// Prints what was suspected of processes that began since `since`: the reason, and the whole stack as a folded line with its live
/// bytes. Nothing if nothing was.
pub(crate) fn suspects(records: &[SuspectRecord], since: SystemTime) {
    for record in records.iter().filter(|record| record.process_started_at() >= since) {
        say!("suspect    {}  pid {}  {}", record.app_frame, record.pid, record.why);
        say!("  stack    {} {:.0}", record.folded_stack, record.est_bytes);
    }
}

fn clients(service: &Service) {
    let endpoints = service.endpoints();
    if let Some(address) = endpoints.mysql {
        let password = if service.has_password() { " -p" } else { "" };
        say!("  mysql    {}{password}", mysql(address));
    }
    if let Some(address) = endpoints.postgres {
        say!("  psql     {}", psql(address));
    }
    if let Some(address) = endpoints.http {
        say!("  web      http://{}/", reachable(address));
    }
    if let Some(address) = endpoints.cluster {
        say!("  cluster  {address}    # others join by --cluster THEIR_IP:{} --peer {address}", address.port());
    }
    if endpoints.mysql.or(endpoints.postgres).or(endpoints.http).is_none() {
        say!("  no listener: heapql sql reads the ledgers");
    }
}

fn mysql(address: SocketAddr) -> String {
    let address = reachable(address);
    format!("mysql -h{} -P{} -uroot@sys -Doceanbase", address.ip(), address.port())
}

fn psql(address: SocketAddr) -> String {
    let address = reachable(address);
    format!("psql \"host={} port={} user=root dbname=oceanbase\"", address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_pasted() {
        assert_eq!(mysql(([127, 0, 0, 1], 2881).into()), "mysql -h127.0.0.1 -P2881 -uroot@sys -Doceanbase");
        let psql = psql(([127, 0, 0, 1], 2883).into());
        assert_eq!(psql, "psql \"host=127.0.0.1 port=2883 user=root dbname=oceanbase\"");
    }
}
