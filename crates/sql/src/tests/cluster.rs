//! Tables over two servers, and in `functions` what is no table: both servers are real, with ledgers of their own, in which
//! the same library lies at different addresses. Only the network between them is not there.

mod functions;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use futures::FutureExt;
use futures::future::BoxFuture;
use heapql_registry::{Tier, Tiers};
use parking_lot::Mutex;

use super::Client;
use super::client;
use super::ledger::GLIBC;
use super::ledger::Recorded;
use super::server_at;
use heapql_server::cluster::{Cluster, Roster, ServerLine};
use heapql_server::failure::{Failure, Warning};
use heapql_server::parameters::Setting;
use heapql_server::{ClusterQuery, Dialect, Server};
use heapql_tables::remote;

use crate::{Distributor, Engine, RemoteContext};

const SMALL: usize = 4 << 20;
const LIBRARY: &[u8] = b"/lib/leaky.so";
const BUILD_ID: &[u8] = &[0xc0, 0xff, 0xee];
/// Where the library lies on the first server, and on the second.
const BASES: [u64; 2] = [0x7f12_0000_0000, 0x7e34_0000_0000];

/// Two servers as one of them sees them.
struct Two {
    own: Arc<Engine>,
    other: Arc<Engine>,
    /// Why the other does not answer calls.
    silent: Mutex<Option<String>>,
}

struct Town {
    servers: [Arc<Engine>; 2],
    cluster: Arc<Two>,
    folders: [tempfile::TempDir; 2],
}

impl Town {
    fn new() -> Town {
        let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("another")];
        let server = |ip: &str, folder: &Path| server_at(ip, folder, None, None);
        let servers = [server("10.0.0.1", folders[0].path()), server("10.0.0.2", folders[1].path())];
        let [own, other] = servers.clone();
        let cluster = Arc::new(Two { own, other, silent: Mutex::new(None) });
        servers[0].server().join(Arc::<Two>::clone(&cluster));
        servers[0].distribute(Arc::<Two>::clone(&cluster));
        Town { servers, cluster, folders }
    }

    /// A process on each server, with the library.
    fn processes(&self) -> [Recorded; 2] {
        [0, 1].map(|nth| {
            let process = Recorded::new(self.folders[nth].path(), SMALL).aged(Duration::from_secs(700));
            process.load(BASES[nth], LIBRARY, BUILD_ID);
            process
        })
    }

    /// At the first server.
    fn client(&self) -> Client {
        client(&self.servers[0], Dialect::MySql)
    }
}

/// The library's offsets as addresses on a server.
fn frames(nth: usize, offsets: &[u64]) -> Vec<usize> {
    offsets.iter().map(|offset| (BASES[nth] + offset) as usize).collect()
}

impl Cluster for Two {
    fn roster(&self) -> Roster {
        Roster { members: vec![self.own.server().address(), self.other.server().address()], absent: Vec::new() }
    }

    fn servers(&self) -> Vec<ServerLine> {
        let line = |server: &Arc<Server>, why: &str| ServerLine {
            address: server.address(),
            zone: "zone1".to_owned(),
            sql_port: server.sql_port(),
            is_active: why.is_empty(),
            last_seen_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(3600)),
            started_at: None,
            version: "1.2.3".to_owned(),
            sources: server.source_count() as u64,
            why: why.to_owned(),
        };
        vec![line(self.own.server(), ""), line(self.other.server(), self.silent.lock().as_deref().unwrap_or_default())]
    }

    fn mark_unreachable(&self, _: SocketAddr, _: &str) {}

    fn call(&self, to: SocketAddr, call: Vec<u8>, _: Duration) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        assert_eq!(to, self.other.server().address());
        let (other, silent) = (Arc::clone(&self.other), self.silent.lock().clone());
        let answer = move || match silent {
            Some(why) => Err(why),
            None => heapql_tables::answer(other.server(), &call).map_err(|failure| failure.message),
        };
        async { tokio::task::spawn_blocking(answer).await.expect("answers") }.boxed()
    }

    fn set(&self, _: Vec<Setting>, _: Option<SocketAddr>) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn add(&self, _: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn delete(&self, _: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

impl Distributor for Two {
    /// Each server's rows are read where they are, in this process.
    fn spread(&self, plan: Arc<dyn ExecutionPlan>, _: &Arc<ClusterQuery>) -> Result<Arc<dyn ExecutionPlan>> {
        let guest = RemoteContext::new(&self.other).map_err(datafusion::error::DataFusionError::from)?;
        let here = |node: Arc<dyn ExecutionPlan>| {
            let Some(members) = remote::members(node.as_ref()).cloned() else {
                return Ok(Transformed::no(node));
            };
            let rows = members.iter().map(|member| match *member == self.own.server().address() {
                true => Ok(remote::on_one(node.as_ref()).expect("a scan")),
                false => guest.scan(&remote::encode(node.as_ref()).expect("a scan")),
            });
            Ok(Transformed::yes(UnionExec::try_new(rows.collect::<Result<Vec<_>>>()?)?))
        };
        Ok(plan.transform_up(here)?.data)
    }

    fn gather(
        &self,
        _: &Arc<dyn ExecutionPlan>,
        _: &Arc<ClusterQuery>,
        _: Arc<TaskContext>,
    ) -> BoxFuture<'static, Result<()>> {
        async { Ok(()) }.boxed()
    }
}

/// Ten minutes of history on both servers, in which each callsite gains so many objects of 100 bytes a snapshot.
fn leak(town: &Town, sites: &[(&Recorded, u32, u64)]) {
    let tier = Tier { every: Duration::from_secs(10), keep: Duration::from_secs(100_000) };
    let tiers = Tiers { tiers: [tier; 3], memory_bytes: 1 << 30 };
    let began = SystemTime::now() - Duration::from_secs(600);
    for snapshot in 0..60 {
        for (process, id, count) in sites {
            (0..*count).for_each(|_| process.count(*id, 100));
        }
        for server in &town.servers {
            let server = server.server();
            server.history().take(&server.registry().sources(), began + Duration::from_secs(10 * snapshot), &tiers);
        }
    }
}

#[tokio::test]
async fn one_leak_on_two_servers_is_one_suspect() {
    let town = Town::new();
    let processes = town.processes();
    let stack = |nth: usize| processes[nth].live(&GLIBC, &frames(nth, &[0x10, 0x20]), 1, 100);
    // In a module that does not say which build it is: not known to be the same.
    let unknown = |nth: usize| processes[nth].live(&GLIBC, &[0x1000, 0x2000], 1, 100);
    let sites = [(stack(0), 30), (stack(1), 40), (unknown(0), 20), (unknown(1), 10)];
    let sites: Vec<_> = sites.iter().zip([0, 1, 0, 1]).map(|((id, rate), nth)| (&processes[nth], *id, *rate)).collect();
    leak(&town, &sites);
    let client = town.client();

    let ids = "SELECT count(*), count(DISTINCT stack_id), min(length(stack_id)) FROM leak_verdicts WHERE is_suspect";
    assert_eq!(client.rows(ids).await, [["4", "3", "32"]]);
    let same = "SELECT count(*), sum(est_bytes), count(DISTINCT svr_ip) FROM leak_verdicts \
                WHERE stack_id = (SELECT stack_id FROM leak_verdicts ORDER BY est_growth_per_minute DESC LIMIT 1)";
    let merged = "SELECT process_count, est_bytes, server_count FROM leak_suspects LIMIT 1";
    let rows = client.rows(merged).await;
    assert_eq!((&rows[0][0][..], &rows[0][2][..]), ("2", "2"));
    assert_eq!(client.rows(same).await[0], rows[0]);

    let all = "SELECT rank, svr_ip, process_count, server_count, verdict, label FROM leak_suspects";
    let growing = |rank, ip, count| [rank, ip, count, count, "growing", "glibc_malloc"];
    let expected = [growing("1", "10.0.0.2", "2"), growing("2", "10.0.0.1", "1"), growing("3", "10.0.0.2", "1")];
    assert_eq!(client.rows(all).await, expected);
    assert_eq!(client.rows(&format!("{all} LIMIT 1")).await, expected[..1]);
    assert_eq!(
        client.rows("SELECT svr_ip, rank FROM leak_suspects LIMIT 2").await,
        [["10.0.0.2", "1"], ["10.0.0.1", "2"]]
    );
    assert_eq!(client.one("SELECT pid > 0 FROM leak_suspects LIMIT 1").await, "true");
    assert_eq!(client.one("SELECT count(*) FROM leak_suspects WHERE rank = 1").await, "1");

    // Growth and its error: sums, and roots of sums of squares.
    let sums = "SELECT round(sum(est_growth_per_minute), 1) AS growth, round(sqrt(sum(power(est_growth_error, 2))), 1) \
                FROM leak_verdicts GROUP BY stack_id ORDER BY growth DESC LIMIT 1";
    let shown = "SELECT est_growth_per_minute, est_growth_error FROM leak_suspects LIMIT 1";
    assert_eq!(client.rows(sums).await, client.rows(shown).await);

    // Conditions on where it is choose before anything is merged.
    let here = format!("{all} WHERE svr_ip = '10.0.0.1' AND svr_port = 2882");
    assert_eq!(client.rows(&here).await, [growing("1", "10.0.0.1", "1"), growing("2", "10.0.0.1", "1")]);
    let pid = std::process::id();
    assert_eq!(client.rows(&format!("{all} WHERE pid = {pid}")).await, expected);
    assert!(client.rows(&format!("{all} WHERE pid = {}", pid + 1)).await.is_empty());
    assert!(client.rows(&format!("{all} WHERE label = 'other'")).await.is_empty());
    // Without any of the others' rows it is as on a server that is alone.
    let alone = super::client(&town.servers[1], Dialect::Postgres);
    let expected = [growing("1", "10.0.0.2", "1"), growing("2", "10.0.0.2", "1")];
    assert_eq!(alone.rows(all).await, expected);

    for (table, rows) in [("callsites", "2"), ("frames", "4")] {
        let same = format!(
            "SELECT count(*) FROM {table} WHERE stack_id IN (SELECT stack_id FROM leak_suspects WHERE rank = 1)"
        );
        assert_eq!(client.one(&same).await, rows, "{table}");
    }
}

#[tokio::test]
async fn views_count_processes_of_both_servers() {
    let town = Town::new();
    let processes = town.processes();
    for (nth, process) in processes.iter().enumerate() {
        process.live(&GLIBC, &frames(nth, &[0x10, 0x20]), 5, 100);
        // Code that was made at run time: the same address is not the same code.
        process.live(&GLIBC, &[0x5000_0000_0000], 1, 8);
    }
    let client = town.client();
    let counts = "process_count, server_count";
    let by_label = format!("SELECT callsite_count, {counts}, est_bytes FROM live_by_label");
    assert_eq!(client.rows(&by_label).await, [["4", "2", "2", "1016"]]);
    let by_function = format!("SELECT function, {counts}, est_bytes FROM live_by_function ORDER BY 1, 2");
    let rows = client.rows(&by_function).await;
    let expected = [
        ["0x500000000000", "1", "1", "8"],
        ["0x500000000000", "1", "1", "8"],
        ["leaky.so+0x10", "2", "2", "1000"],
        ["leaky.so+0x20", "2", "2", "0"],
    ];
    assert_eq!(rows, expected);
    let by_module = format!("SELECT module, {counts} FROM live_by_module ORDER BY 1");
    assert_eq!(client.rows(&by_module).await, [["", "2", "2"], ["/lib/leaky.so", "2", "2"]]);
    let by_process = "SELECT svr_ip, est_bytes FROM live_by_process ORDER BY 1";
    assert_eq!(client.rows(by_process).await, [["10.0.0.1", "508"], ["10.0.0.2", "508"]]);
    let top = format!("SELECT function, est_bytes, {counts} FROM top ORDER BY est_bytes DESC LIMIT 1");
    assert_eq!(client.rows(&top).await, [["leaky.so+0x10", "1000", "2", "2"]]);
    let memory = "SELECT svr_ip, mod_name, used FROM gv$ob_memory ORDER BY 1";
    assert_eq!(client.rows(memory).await[1], ["10.0.0.2", "glibc_malloc", "508"]);
    let usage = "SELECT count(DISTINCT svr_ip) FROM self_usage WHERE name = 'sources'";
    assert_eq!(client.one(usage).await, "2");
}

#[tokio::test]
async fn servers_are_rows() {
    let town = Town::new();
    let query = "SELECT svr_ip, svr_port, zone, sql_port, status, version, process_count, why FROM servers";
    let row = |ip, status, why| [ip, "2882", "zone1", "2881", status, "1.2.3", "0", why];
    let client = town.client();
    assert_eq!(client.rows(query).await, [row("10.0.0.1", "ACTIVE", ""), row("10.0.0.2", "ACTIVE", "")]);
    *town.cluster.silent.lock() = Some("it was stopped".to_owned());
    let other = format!("{query} WHERE svr_ip = '10.0.0.2' AND svr_port = 2882");
    assert_eq!(client.rows(&other).await, [row("10.0.0.2", "INACTIVE", "it was stopped")]);
    let theirs = "SELECT svr_ip, id, with_rootserver, status, start_service_time, build_version FROM DBA_OB_SERVERS";
    assert_eq!(client.rows(theirs).await[1], ["10.0.0.2", "2", "NO", "INACTIVE", "NULL", "1.2.3"]);
    let inner = "SELECT svr_ip, inner_port, status, stop_time, last_offline_time FROM oceanbase.__all_server";
    assert_eq!(client.rows(inner).await[1], ["10.0.0.2", "2881", "INACTIVE", "0", "3600000000"]);
    assert_eq!(client.session.warnings(), []);
    let alone = super::client(&town.servers[1], Dialect::Postgres);
    let row = ["10.0.0.2", "2882", "ACTIVE", ""];
    assert_eq!(alone.rows("SELECT svr_ip, svr_port, status, why FROM servers").await, [row]);
    assert_eq!(alone.one("SELECT started_at <= last_seen_at FROM servers").await, "true");
}
