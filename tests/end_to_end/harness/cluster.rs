//! Several servers that answer as one: processes on 127.0.0.1, 127.0.0.2, .., each with a directory of its own, as if on
//! hosts of their own. They are stopped, killed and started again here; what then is right is the tests' to say.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Client, Launch, Mysql, Postgres, Recorded, Server, eventually, scratch};

pub(crate) struct Cluster {
    members: Vec<Member>,
}

/// One server, running or not.
pub(crate) struct Member {
    home: Arc<TempDir>,
    /// The address that the other servers use, `127.0.0.K:PORT`. A restart keeps it.
    pub(crate) address: String,
    flags: Vec<String>,
    server: Option<Server>,
}

impl Cluster {
    /// Starts servers that know each other.
    pub(crate) fn of(count: usize) -> Cluster {
        Cluster::with(count, &[])
    }

    /// Starts them with more flags.
    pub(crate) fn with(count: usize, flags: &[&str]) -> Cluster {
        let flags: Vec<String> = flags.iter().map(|flag| flag.to_string()).collect();
        let mut cluster = Cluster { members: Vec::new() };
        for number in 1..=count {
            // One peer is enough, and each has another.
            let peer = cluster.members.last().map(|peer| peer.address.clone());
            let peers = peer.into_iter().flat_map(|peer| ["--peer".to_owned(), peer]);
            let flags = flags.iter().cloned().chain(peers).collect();
            cluster.members.push(Member::start(&format!("127.0.0.{number}:0"), flags));
        }
        cluster.settled();
        cluster
    }

    /// Starts one more, which knows no other server and is not known to them.
    pub(crate) fn add_stranger(&mut self, flags: &[&str]) {
        let flags = flags.iter().map(|flag| flag.to_string()).collect();
        self.members.push(Member::start(&format!("127.0.0.{}:0", self.members.len() + 1), flags));
    }

    pub(crate) fn member(&self, number: usize) -> &Member {
        &self.members[number]
    }

    pub(crate) fn member_mut(&mut self, number: usize) -> &mut Member {
        &mut self.members[number]
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Waits until every server that runs sees all as active.
    pub(crate) fn settled(&self) {
        for member in &self.members {
            member.sees(&[("ACTIVE", self.members.len())]);
        }
    }
}

impl Member {
    fn start(address: &str, flags: Vec<String>) -> Member {
        let home = Arc::new(scratch());
        let mut member = Member { home, address: address.to_owned(), flags, server: None };
        member.restart();
        member.address = member.server().endpoints.cluster.clone();
        member
    }

    /// Starts it, again with what it kept and at its address. The other flags are the first time's.
    pub(crate) fn restart(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let launch = self.flags.iter().fold(Launch::serve(&self.home), |launch, flag| launch.flag(flag));
        self.server = Some(launch.flag("--cluster").flag(&self.address).start());
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(&mut self) {
        drop(self.server.take().expect("it runs"));
    }

    /// It is there, and silent.
    pub(crate) fn stop(&self) {
        self.server().signal(libc::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.server().signal(libc::SIGCONT);
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    pub(crate) fn mysql(&self) -> Mysql {
        self.server().mysql()
    }

    pub(crate) fn postgres(&self) -> Postgres {
        self.server().postgres()
    }

    /// svr_ip and svr_port.
    pub(crate) fn ip_and_port(&self) -> [&str; 2] {
        self.address.split_once(':').expect("host:port").into()
    }

    pub(crate) fn ledgers(&self) -> PathBuf {
        self.home.path().join("ledgers")
    }

    /// A program on its host.
    pub(crate) fn record(&self, program: PathBuf, arguments: &[&str], intervals: (u32, u32)) -> Recorded {
        Recorded::start(&program, arguments, &self.ledgers(), intervals)
    }

    /// Waits until it sees so many servers of each status.
    pub(crate) fn sees(&self, expected: &[(&str, usize)]) {
        let mut client = self.postgres();
        let expected: Vec<[String; 2]> =
            expected.iter().map(|(status, n)| [status.to_string(), n.to_string()]).collect();
        eventually(&format!("{} to see {expected:?}", self.address), || {
            let seen = client.query("SELECT status, count(*) FROM servers GROUP BY 1 ORDER BY 1").rows;
            (seen == expected).then_some(())
        });
    }
}
