//! Three servers give the same answer as one that holds all their rows. The servers are real, over real ledgers, and every fragment
//! is encoded, decoded and run as between processes. Sockets and killed processes are tested end to end (tests/end_to_end/cluster).
#![allow(unsafe_code)]

mod generated;
mod ledgers;
mod statements;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use futures::future::BoxFuture;
use heapql_ledger::Sampling;
use heapql_registry::{Registry, RegistrySettings};
use heapql_server::ClusterQuery;
use heapql_server::cluster::{Cluster, Roster, ServerLine};
use heapql_server::parameters::Setting;
use heapql_server::{Dialect, Failure, FailureKind, Server, ServerConfig, Warning};
use heapql_sql::{Distributor, Engine, Login, Outcome, Session};
use parking_lot::Mutex;

use crate::fragment::{self, FetchError, FragmentRows};
use crate::gather::{self, FragmentTransport};
use crate::spread;

/// Servers in one process that reach each other without a network.
#[derive(Default)]
struct Members {
    servers: Mutex<BTreeMap<SocketAddr, Arc<Engine>>>,
    /// Members that are known to be away.
    absent: Mutex<Vec<SocketAddr>>,
    /// Members that do not answer although they are thought to be active.
    silent: Mutex<Vec<SocketAddr>>,
}

#[derive(Clone)]
struct InProcessCluster(Arc<Members>);

impl FragmentTransport for InProcessCluster {
    fn fetch<'a>(
        &'a self,
        from: SocketAddr,
        encoded: Bytes,
        timeout: Duration,
        memory: &'a MemoryReservation,
    ) -> BoxFuture<'a, Result<FragmentRows, FetchError>> {
        Box::pin(async move {
            if self.0.silent.lock().contains(&from) {
                tokio::time::sleep(timeout * 2).await;
            }
            let server = self.0.servers.lock()[&from].clone();
            let data =
                fragment::serve(&server, encoded).await.map_err(|status| fragment::fetch_error(from, &status))?;
            fragment::read_rows(from, data, memory).await
        })
    }
}

impl Cluster for InProcessCluster {
    fn roster(&self) -> Roster {
        let absent = self.0.absent.lock().clone();
        let members = self.0.servers.lock().keys().copied().filter(|member| !absent.contains(member)).collect();
        Roster { members, absent: absent.into_iter().map(|member| (member, "it is away".to_owned())).collect() }
    }

    fn servers(&self) -> Vec<ServerLine> {
        Vec::new()
    }

    fn mark_unreachable(&self, _: SocketAddr, _: &str) {}

    fn call(&self, to: SocketAddr, call: Vec<u8>, _: Duration) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        let server = self.0.servers.lock()[&to].clone();
        Box::pin(async move { heapql_tables::answer(server.server(), &call).map_err(|failure| failure.message) })
    }

    fn set(&self, _: Vec<Setting>, _: Option<SocketAddr>) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn add(&self, _: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn delete(&self, _: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Distributor for InProcessCluster {
    fn spread(&self, plan: Arc<dyn ExecutionPlan>, _: &Arc<ClusterQuery>) -> Result<Arc<dyn ExecutionPlan>> {
        spread::spread(plan)
    }

    fn gather(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        query: &Arc<ClusterQuery>,
        context: Arc<TaskContext>,
    ) -> BoxFuture<'static, Result<()>> {
        Box::pin(gather::gather(Arc::new(self.clone()), Arc::clone(plan), Arc::clone(query), context))
    }
}

/// A cluster of three servers, and one server over all their ledgers.
struct Fixture {
    cluster: Arc<Members>,
    members: Vec<Arc<Engine>>,
    alone: Arc<Engine>,
    _folders: Vec<tempfile::TempDir>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with_rows_on(3)
    }

    /// Only the first `some` servers have ledgers.
    fn with_rows_on(some: usize) -> Fixture {
        let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().expect("a folder")).collect();
        for (number, folder) in folders[..some].iter().enumerate() {
            ledgers::write(folder.path(), number);
            ledgers::copy(folder.path(), folders[3].path());
        }
        let cluster = Arc::new(Members::default());
        let member = |number: usize| server(folders[number].path(), &format!("127.0.0.{}", number + 1), 25_224);
        let members: Vec<_> = (0..3).map(member).collect();
        for member in &members {
            cluster.servers.lock().insert(member.server().address(), Arc::clone(member));
            member.server().join(Arc::new(InProcessCluster(Arc::clone(&cluster))));
            member.distribute(Arc::new(InProcessCluster(Arc::clone(&cluster))));
        }
        Fixture { cluster, members, alone: server(folders[3].path(), "127.0.0.9", 2882), _folders: folders }
    }

    fn at(&self, member: usize) -> Client {
        Client::of(&self.members[member])
    }

    fn alone(&self) -> Client {
        Client::of(&self.alone)
    }

    fn address(&self, member: usize) -> SocketAddr {
        self.members[member].server().address()
    }
}

fn server(folder: &std::path::Path, svr_ip: &str, svr_port: u16) -> Arc<Engine> {
    let registry = Registry::open(RegistrySettings::serving(folder.to_owned())).expect("a registry");
    let config = ServerConfig {
        registry: Arc::new(registry),
        svr_ip: svr_ip.to_owned(),
        svr_port,
        sql_port: 2881,
        parameter_file: None,
        history_folder: None,
        suspect_folder: None,
        initial: Sampling::DEFAULT,
        password: None,
        error_number: |_| 1105,
    };
    Engine::new(Server::new(config).expect("a server")).expect("an engine")
}

struct Client(Arc<Session>);

/// Rows as text, with NULL for null.
type Rows = Vec<Vec<String>>;

impl Client {
    fn of(engine: &Arc<Engine>) -> Client {
        let slot = engine.server().connections().admit("127.0.0.1:5000").expect("a slot");
        let connection_id = slot.id();
        // The slot is kept until the process ends.
        std::mem::forget(slot);
        let login = Login {
            user: "root@sys".to_owned(),
            database: None,
            dialect: Dialect::Postgres,
            peer: "127.0.0.1:5000".to_owned(),
            connection_id,
        };
        Client(Session::open(engine, login).expect("a session"))
    }

    async fn rows(&self, sql: &str) -> Result<Rows, Failure> {
        let Outcome::Rows { mut stream, .. } = self.0.execute(sql).await? else {
            return Ok(Vec::new());
        };
        let options = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).expect("a formatter"))
                .collect();
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|column| column.value(row).to_string()).collect());
            }
        }
        Ok(rows)
    }

    async fn all(&self, sql: &str) -> Rows {
        self.rows(sql).await.unwrap_or_else(|failure| panic!("{sql}: {failure}"))
    }

    /// Rows in a fixed order, for statements without ORDER BY.
    async fn sorted(&self, sql: &str) -> Rows {
        let mut rows = self.all(sql).await;
        rows.sort();
        rows
    }

    fn warnings(&self) -> Vec<String> {
        self.0.warnings().into_iter().map(|warning| warning.message).collect()
    }

    async fn plan(&self, sql: &str) -> String {
        self.all(&format!("EXPLAIN {sql}")).await.into_iter().map(|row| row.join("\n")).collect::<Vec<_>>().join("\n")
    }

    async fn failure(&self, sql: &str) -> FailureKind {
        self.rows(sql).await.expect_err(sql).kind
    }
}
