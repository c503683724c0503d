//! This server as one of a cluster: what the catalog asks of the others, and the start and end of what runs for them.

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
use tokio::time::timeout;

use crate::channels::Channels;
use crate::config::Config;
use crate::incoming;
use crate::message::CALL;
use crate::state::State;
use crate::{change, gather, heartbeat, service, spread};

/// How long requests under way are given at the end.
const GRACE: Duration = Duration::from_secs(1);

/// One server of a cluster.
pub struct Node {
    pub(crate) state: Arc<State>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Option<[JoinHandle<()>; 2]>>,
}

impl Node {
    /// Serves the others on a socket that is bound, greets them, and is attached to the server. Blocks shortly: it reads and
    /// writes files.
    pub fn start(config: Config, listener: std::net::TcpListener, engine: &Arc<Engine>) -> Result<Arc<Node>, Failure> {
        let failed = |why: String| Failure::new(FailureKind::Internal, format!("the cluster cannot be served: {why}"));
        if let Some(tls) = &config.tls {
            tls.check().map_err(|why| failed(format!("its certificates cannot be used: {why}")))?;
        }
        let (listener, _) = incoming::listener(listener).map_err(|error| failed(error.to_string()))?;
        let state = Arc::new(State::open(&config, engine)?);
        let (stop, stopped) = watch::channel(false);
        let served = service::serve(listener, Arc::clone(&state), config.secret, config.tls, stopped);
        let serving = tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::error!("the cluster is not served any more: {error}");
            }
        });
        let greeting = tokio::spawn(heartbeat::run(Arc::clone(&state)));
        let node = Arc::new(Node { state, stop, tasks: Mutex::new(Some([serving, greeting])) });
        engine.server().join(Arc::<Node>::clone(&node));
        engine.distribute(Arc::<Node>::clone(&node));
        Ok(node)
    }

    /// By which the others know this server.
    pub fn address(&self) -> SocketAddr {
        self.state.here
    }

    /// Takes no more requests, and gives those under way a second. The others notice by themselves.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = self.tasks.lock().take();
        if let Some([mut serving, greeting]) = tasks {
            greeting.abort();
            if timeout(GRACE, &mut serving).await.is_err() {
                serving.abort();
            }
        }
    }
}

impl Cluster for Node {
    fn roster(&self) -> Roster {
        self.state.roster()
    }

    fn servers(&self) -> Vec<ServerLine> {
        self.state.servers()
    }

    fn lost(&self, member: SocketAddr, why: &str) {
        if member != self.state.here {
            self.state.liveness.failed(member, why);
        }
    }

    fn call(&self, to: SocketAddr, call: Vec<u8>, within: Duration) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        let state = Arc::clone(&self.state);
        async move { state.act(to, CALL, call, within).await.map(Vec::from) }.boxed()
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

impl Distributor for Node {
    fn spread(&self, plan: Arc<dyn ExecutionPlan>, _: &Arc<ClusterQuery>) -> Result<Arc<dyn ExecutionPlan>> {
        spread::spread(plan)
    }

    fn gather(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        asking: &Arc<ClusterQuery>,
        context: Arc<TaskContext>,
    ) -> BoxFuture<'static, Result<()>> {
        let channels = Arc::<Channels>::clone(&self.state.channels);
        gather::gather(channels, Arc::clone(plan), Arc::clone(asking), context).boxed()
    }
}
