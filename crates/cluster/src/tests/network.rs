//! Servers of a cluster over real sockets, each with its own runtime and registry, on loopback addresses and ports that the kernel
//! picks. Killing one ends its runtime at once. Queries over several servers are tested in `queries`.

mod members;
mod parameters;
mod strangers;
mod tls;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heapql_ledger::Sampling;
use heapql_registry::{Registry, RegistrySettings};
use heapql_server::cluster::{Cluster, ServerLine};
use heapql_server::parameters::{Setting, known};
use heapql_server::{Failure, Server, ServerConfig, Warning};
use heapql_sql::Engine;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::{ClusterConfig, ClusterNode, Secret};

const MIN: &str = "_min_malloc_sample_interval";
const MAX: &str = "_max_malloc_sample_interval";
const SQL_PORT: u16 = 4711;

/// A server that runs, or one that was stopped.
struct Host {
    folder: TempDir,
    address: SocketAddr,
    running: Option<(Runtime, Arc<ClusterNode>)>,
}

impl Host {
    /// Starts a server on 127.0.0.`number`, with a configuration that `change` adapts.
    fn start(number: u8, change: impl FnOnce(&mut ClusterConfig)) -> Host {
        let (folder, listener) = (tempfile::tempdir().expect("a folder"), listener(([127, 0, 0, number], 0).into()));
        let address = listener.local_addr().expect("an address");
        let mut host = Host { folder, address, running: None };
        host.run(listener, change).expect("started");
        host
    }

    fn joining(number: u8, peer: &Host) -> Host {
        Host::start(number, |config| config.peers = vec![peer.address.to_string()])
    }

    /// Starts the stopped server again on its address.
    fn restart(&mut self, change: impl FnOnce(&mut ClusterConfig)) {
        let address = self.address;
        eventually("the address is free", || TcpListener::bind(address).is_ok());
        self.run(listener(address), change).expect("started again");
    }

    fn run(&mut self, listener: TcpListener, change: impl FnOnce(&mut ClusterConfig)) -> Result<(), Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let mut config = ClusterConfig::new(self.address);
        config.file = Some(self.file());
        change(&mut config);
        let inside = runtime.enter();
        let node = ClusterNode::start(config, listener, &self.engine());
        drop(inside);
        match node {
            Ok(node) => self.running = Some((runtime, node)),
            Err(failure) => {
                runtime.shutdown_background();
                return Err(failure);
            }
        }
        Ok(())
    }

    fn engine(&self) -> Arc<Engine> {
        let root = self.folder.path().join("ledgers");
        fs::create_dir_all(&root).expect("a directory");
        let settings = RegistrySettings { root, keep_dead_files: 16, keep_dead_bytes: 1 << 30 };
        let server = Server::new(ServerConfig {
            registry: Arc::new(Registry::open(settings).expect("a registry")),
            svr_ip: self.address.ip().to_string(),
            svr_port: self.address.port(),
            sql_port: SQL_PORT,
            parameter_file: Some(self.folder.path().join("parameters.toml")),
            history_folder: None,
            suspect_folder: None,
            initial: Sampling::DEFAULT,
            password: None,
            error_number: |_| 1105,
        });
        Engine::new(server.expect("a server")).expect("an engine")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cluster.json")
    }

    fn node(&self) -> &Arc<ClusterNode> {
        &self.running.as_ref().expect("it runs").1
    }

    fn stop(&mut self) {
        if let Some((runtime, node)) = self.running.take() {
            runtime.block_on(node.stop());
            runtime.shutdown_background();
        }
    }

    /// Ends the server at once.
    fn kill(&mut self) {
        if let Some((runtime, _)) = self.running.take() {
            runtime.shutdown_background();
        }
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.running.as_ref().expect("it runs").0.block_on(work)
    }

    fn set(&self, items: &[(&str, &str)]) -> Vec<Warning> {
        self.try_set(items, None).expect("set")
    }

    fn try_set(&self, items: &[(&str, &str)], only: Option<SocketAddr>) -> Result<Vec<Warning>, Failure> {
        let setting = |(name, value): &(&str, &str)| {
            Setting::new(known(name).expect("a parameter"), value).expect("in the range")
        };
        self.wait(self.node().set(items.iter().map(setting).collect(), only))
    }

    fn add(&self, other: &Host) -> Result<Vec<Warning>, Failure> {
        self.wait(self.node().add(other.address))
    }

    fn delete(&self, other: &Host) -> Result<Vec<Warning>, Failure> {
        self.wait(self.node().delete(other.address))
    }

    /// The value of a parameter in the server's parameter file.
    fn value(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.path().join("parameters.toml")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))?;
        Some(line.to_owned())
    }

    fn members(&self) -> Vec<SocketAddr> {
        self.node().roster().members
    }

    fn line(&self, other: &Host) -> Option<ServerLine> {
        self.node().servers().into_iter().find(|line| line.address == other.address)
    }

    /// Reason for which `other` is inactive; empty if it is active or unknown.
    fn why(&self, other: &Host) -> String {
        self.line(other).map(|line| line.why).unwrap_or_default()
    }

    fn count(&self, name: &str) -> i64 {
        let rows = self.node().usage();
        rows.into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("there is no {name}")).value
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until each of these servers sees exactly these, all of them active.
fn see_each_other(hosts: &[&Host]) {
    let mut all: Vec<_> = hosts.iter().map(|host| host.address).collect();
    all.sort_unstable();
    for host in hosts {
        eventually(&format!("{} sees {all:?}", host.address), || {
            host.members() == all && host.node().roster().absent.is_empty()
        });
    }
}

fn listener(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).expect("bound")
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text).expect("long enough"))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(warnings: &[Warning]) -> String {
    warnings.iter().map(|warning| warning.message.clone()).collect::<Vec<_>>().join("; ")
}
