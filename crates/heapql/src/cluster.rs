//! The cluster flags: their check, the socket for other servers, and the node that serves it.
//!
//! The protocol between servers is `heapql_cluster`'s. Called by `service`, and by verbs for the check.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use heapql_cluster::{ClusterConfig, ClusterNode, Secret, TlsFiles};
use heapql_sql::Engine;
use heapql_wire::is_loopback;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::lookup_host;

use crate::addresses::{reachable, source_of_route};
use crate::cli::{ClusterFlags, ListenAddress};
use crate::error::Error;
use crate::password;

const EXAMPLE: &str = "for example --cluster 10.0.0.2:2882 --peer 10.0.0.1:2882";

/// Refuses flags that contradict each other or have no effect, before anything is started.
pub(crate) fn check(flags: &ClusterFlags) -> Result<(), Error> {
    for peer in &flags.peer {
        let port =
            peer.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            return Err(Error::usage(format!("--peer '{peer}': expected host:port")).hint(EXAMPLE));
        }
    }
    let tls = [&flags.cluster_tls_cert, &flags.cluster_tls_key, &flags.cluster_tls_ca];
    let has_tls = tls.iter().any(|file| file.is_some());
    if has_tls && tls.iter().any(|file| file.is_none()) {
        return Err(Error::usage("--cluster-tls-cert, --cluster-tls-key and --cluster-tls-ca go together")
            .hint("docs/how-to/cluster.md has the openssl commands that make the files"));
    }
    if matches!(flags.cluster, Some(ListenAddress::At(_))) {
        return Ok(());
    }
    let useless = [
        ("--peer", !flags.peer.is_empty()),
        ("--cluster-secret-file", flags.cluster_secret_file.is_some()),
        ("--cluster-tls-cert", has_tls),
    ];
    match useless.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            Err(Error::usage(format!("{flag} needs --cluster ADDR, by which the others reach this server"))
                .hint(EXAMPLE))
        }
        None => Ok(()),
    }
}

/// The bound socket, before anything is served on it. Binding comes first because its address is part of all rows.
pub(crate) struct ClusterListener {
    listener: TcpListener,
    config: ClusterConfig,
}

impl ClusterListener {
    /// Binds the socket. Returns None without --cluster.
    pub(crate) async fn bind(flags: &ClusterFlags, file: Option<PathBuf>) -> Result<Option<ClusterListener>, Error> {
        check(flags)?;
        let Some(ListenAddress::At(wanted)) = &flags.cluster else {
            return Ok(None);
        };
        let secret = flags.cluster_secret_file.as_ref().map(|path| {
            let hint = "make one: openssl rand -hex 32 > FILE; every server of the cluster gets the same";
            let text = password::first_line(path, "--cluster-secret-file", hint)?;
            let secret = Secret::new(&text);
            secret.map_err(|why| Error::usage(format!("--cluster-secret-file '{}': {why}", path.display())).hint(hint))
        });
        let secret = secret.transpose()?;
        let tls = tls(flags)?;
        let listener = listen(wanted, secret.is_some()).await?;
        let bound = listener.local_addr().map_err(|error| cannot(wanted, &error))?;
        let mut config = ClusterConfig::new(advertised(bound, &flags.peer).await);
        (config.peers, config.file, config.secret, config.tls) = (flags.peer.clone(), file, secret, tls);
        Ok(Some(ClusterListener { listener, config }))
    }

    /// The address by which other servers reach this one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.config.address
    }

    /// Raises the soft limit of descriptors. A server needs two for each other server, and the usual limit allows some 500. Only
    /// `serve` does it, because a program under `run` would inherit the limit.
    pub(crate) fn raise_descriptor_limit() {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!("the limit of descriptors stays {:?}: {error}", limit.current);
        }
    }

    pub(crate) fn serve(self, engine: &Arc<Engine>) -> Result<Arc<ClusterNode>, Error> {
        Ok(ClusterNode::start(self.config, self.listener, engine)?)
    }
}

async fn listen(wanted: &str, has_secret: bool) -> Result<TcpListener, Error> {
    let found = lookup_host(wanted).await.map(|mut found| found.next());
    let address = match found {
        Ok(Some(address)) => address,
        Ok(None) => return Err(Error::new(format!("cannot use '{wanted}' for --cluster: it has no address"))),
        Err(error) => {
            return Err(Error::new(format!("cannot use '{wanted}' for --cluster: {error}"))
                .hint("give host:port, for example 127.0.0.1:0"));
        }
    };
    if !has_secret && !is_loopback(address.ip()) {
        return Err(Error::new(format!(
            "cannot listen on '{address}' for --cluster without a secret: anybody who reaches it could read the heap's \
             stacks and change parameters"
        ))
        .hint("give all servers the same --cluster-secret-file FILE, or bind a loopback address such as 127.0.0.1"));
    }
    TcpListener::bind(address).map_err(|error| cannot(wanted, &error))
}

fn cannot(wanted: &str, error: &io::Error) -> Error {
    let failed = Error::new(format!("cannot listen on '{wanted}' for --cluster: {error}"));
    if error.kind() == io::ErrorKind::AddrInUse {
        return failed.hint("another server has this port: stop it, or give --cluster another");
    }
    failed
}

fn tls(flags: &ClusterFlags) -> Result<Option<TlsFiles>, Error> {
    let (Some(certificate), Some(key), Some(authority)) =
        (&flags.cluster_tls_cert, &flags.cluster_tls_key, &flags.cluster_tls_ca)
    else {
        return Ok(None);
    };
    let read = |path: &PathBuf, flag: &str| {
        fs::read(path).map_err(|error| Error::usage(format!("cannot read {flag} '{}': {error}", path.display())))
    };
    let tls = TlsFiles {
        certificate: read(certificate, "--cluster-tls-cert")?,
        key: password::bytes(key, "--cluster-tls-key")?,
        authority: read(authority, "--cluster-tls-ca")?,
    };
    tls.check().map_err(|why| {
        Error::usage(format!("the files of --cluster-tls-cert, -key and -ca cannot be used: {why}"))
            .hint("docs/how-to/cluster.md has the openssl commands that make them")
    })?;
    Ok(Some(tls))
}

/// The address that other servers use. If it listens on all addresses, that of the route to the first peer.
async fn advertised(bound: SocketAddr, peers: &[String]) -> SocketAddr {
    let mut shown = bound;
    if bound.ip().is_unspecified() {
        for peer in peers {
            let found = lookup_host(peer).await.into_iter().flatten();
            if let Some(ip) = found.filter_map(source_of_route).next() {
                shown.set_ip(ip);
                break;
            }
        }
    }
    let shown = reachable(shown);
    SocketAddr::new(shown.ip().to_canonical(), shown.port())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn flags(cluster: &str, peers: &[&str]) -> ClusterFlags {
        let peer = peers.iter().map(|peer| (*peer).to_owned()).collect();
        ClusterFlags { cluster: cluster.parse().ok(), peer, ..ClusterFlags::default() }
    }

    async fn refused(flags: &ClusterFlags) -> String {
        match ClusterListener::bind(flags, None).await {
            Ok(_) => panic!("{flags:?} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn flags_without_an_effect_are_refused() {
        assert!(refused(&flags("off", &["10.0.0.1:2882"])).await.contains("--peer needs --cluster"));
        for peer in ["", "2882", ":2882", "host", "host:0", "host:x"] {
            assert!(refused(&flags("127.0.0.1:0", &[peer])).await.contains("expected host:port"), "{peer}");
        }
        let half = ClusterFlags { cluster_tls_cert: Some("c".into()), ..flags("127.0.0.1:0", &[]) };
        assert!(refused(&half).await.contains("go together"));
        let alone = ClusterFlags { cluster_secret_file: Some("s".into()), ..ClusterFlags::default() };
        assert!(refused(&alone).await.contains("--cluster-secret-file needs --cluster"));
        assert!(ClusterListener::bind(&flags("off", &[]), None).await.expect("nothing").is_none());
    }

    #[tokio::test]
    async fn beyond_loopback_it_takes_a_secret() {
        let any = flags("0.0.0.0:0", &["127.0.0.1:1"]);
        assert!(refused(&any).await.contains("--cluster-secret-file"));
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).expect("its mode");
        let with = ClusterFlags { cluster_secret_file: Some(file.path().to_owned()), ..any };
        assert!(refused(&with).await.contains("is empty"));
        fs::write(file.path(), "short\n").expect("written");
        assert!(refused(&with).await.contains("are the least"));
        fs::write(file.path(), "long enough to be one\n").expect("written");
        let bound = ClusterListener::bind(&with, None).await.expect("bound").expect("a listener");
        assert_eq!(bound.address().ip(), IpAddr::from([127, 0, 0, 1]), "as the first peer sees it");
        assert_ne!(bound.address().port(), 0);
    }

    #[tokio::test]
    async fn a_taken_port_names_the_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = taken.local_addr().expect("an address").to_string();
        let error = refused(&flags(&address, &[])).await;
        assert!(error.contains("--cluster") && error.contains(&address), "{error}");
    }
}
