//! This server as a member of a cluster: start and stop of its tasks, and the `Cluster` that the SQL side calls.
//!
//! Everything it does is in the modules that it calls. The `heapql` binary starts and stops it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::{BoxFuture, FutureExt};
use heapql_server::ClusterQuery;
use heapql_server::cluster::{Cluster, Roster, ServerLine, Usage};
use heapql_server::parameters::Setting;
use heapql_server::{Failure, FailureKind, Warning};
use heapql_sql::{Distributor, Engine};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::channels::Channels;
use crate::config::ClusterConfig;
use crate::exchange::RpcError;
use crate::incoming;
use crate::message::CALL;
use crate::state::NodeState;
use crate::{change, gather, heartbeat, service, spread};

/// Time that running requests get at the end.
const GRACE: Duration = Duration::from_secs(1);

/// One server of a cluster.
pub struct ClusterNode {
    pub(crate) state: Arc<NodeState>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Option<[JoinHandle<()>; 2]>>,
}

impl ClusterNode {
    /// Serves other servers on a bound socket, starts the heartbeat, and attaches the node to the server. Blocks shortly, because
    /// it reads and writes files.
    pub fn start(
        config: ClusterConfig,
        listener: std::net::TcpListener,
        engine: &Arc<Engine>,
    ) -> Result<Arc<ClusterNode>, Failure> {
        let failed = |why: String| Failure::new(FailureKind::Internal, format!("the cluster cannot be served: {why}"));
        if let Some(tls) = &config.tls {
            tls.check().map_err(|why| failed(format!("its certificates cannot be used: {why}")))?;
        }
        let (listener, _) = incoming::listener(listener).map_err(|error| failed(error.to_string()))?;
        let state = Arc::new(NodeState::open(&config, engine)?);
        let (stop, stopped) = watch::channel(false);
        let served = service::serve(listener, Arc::clone(&state), config.secret, config.tls, stopped);
        let serving = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::error!("the cluster is not served any more: {error}");
            }
        });
        let greeting = tokio::spawn(heartbeat::run(Arc::clone(&state)));
        let node = Arc::new(ClusterNode { state, stop, tasks: Mutex::new(Some([serving, greeting])) });
        engine.server().join(Arc::<ClusterNode>::clone(&node));
        engine.distribute(Arc::<ClusterNode>::clone(&node));
        Ok(node)
    }

    /// The address by which other servers know this one.
    pub fn address(&self) -> SocketAddr {
        self.state.here
    }

    /// Refuses new requests, and gives running ones a second. Other servers notice by their heartbeats.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = self.tasks.lock().take();
        if let Some([mut serving, greeting]) = tasks {
            greeting.abort();
            if tokio::time::timeout(GRACE, &mut serving).await.is_err() {
                serving.abort();
            }
        }
    }
}

impl Cluster for ClusterNode {
    fn roster(&self) -> Roster {
        self.state.roster()
    }

    fn servers(&self) -> Vec<ServerLine> {
        self.state.servers()
    }

    fn mark_unreachable(&self, member: SocketAddr, why: &str) {
        if member != self.state.here {
            self.state.liveness.mark_inactive(member, why);
        }
    }

    fn call(&self, to: SocketAddr, call: Vec<u8>, timeout: Duration) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        let state = Arc::clone(&self.state);
        async move { state.rpc(to, CALL, call, timeout).await.map(Vec::from).map_err(RpcError::reason) }.boxed()
    }

    fn set(
        &self,
        settings: Vec<Setting>,
        only: Option<SocketAddr>,
    ) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        change::set(Arc::clone(&self.state), settings, only).boxed()
    }

    fn add(&self, server: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        change::add(Arc::clone(&self.state), server).boxed()
    }

    fn delete(&self, server: SocketAddr) -> BoxFuture<'static, Result<Vec<Warning>, Failure>> {
        change::delete(Arc::clone(&self.state), server).boxed()
    }

    fn usage(&self) -> Vec<Usage> {
        self.state.counts.list()
    }
}

impl Distributor for ClusterNode {
    fn spread(&self, plan: Arc<dyn ExecutionPlan>, _: &Arc<ClusterQuery>) -> Result<Arc<dyn ExecutionPlan>> {
        spread::spread(plan)
    }

    fn gather(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        query: &Arc<ClusterQuery>,
        context: Arc<TaskContext>,
    ) -> BoxFuture<'static, Result<()>> {
        let channels = Arc::<Channels>::clone(&self.state.channels);
        gather::gather(channels, Arc::clone(plan), Arc::clone(query), context).boxed()
    }
}
