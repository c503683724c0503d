//! The files of docker/ that need no daemon: the servers start with the configuration that they share, and the leaking
//! program compiles and its leak is found.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::*;
use crate::harness::{Launch, Login, Mysql, eventually, record_into, scratch, tool, workspace_dir};

#[test]
fn the_servers_of_the_compose_file_start() {
    let docker = workspace_dir().join("docker");
    let home = Arc::new(scratch());
    let place = |name: &str| home.path().join(name);
    for (name, text) in [("cluster", "0123456789abcdef0123456789abcdef\n"), ("password", "only a test\n")] {
        fs::write(place(name), text).expect("written");
        fs::set_permissions(place(name), fs::Permissions::from_mode(0o600)).expect("its mode is set");
    }
    // As in the containers, but for the paths; flags are the test's own ports.
    let common = fs::read_to_string(docker.join("heapql.toml")).expect("the configuration");
    assert!(common.contains("/run/secrets/cluster") && common.contains("/run/secrets/password"));
    let common = common.replace("/run/secrets", home.path().to_str().expect("UTF-8"));
    fs::write(place("heapql.toml"), common).expect("written");
    let compose = fs::read_to_string(docker.join("compose.yaml")).expect("the services");
    let command = compose.lines().find(|line| line.contains("--peer=172.28.81.12:2882")).expect("a server's command");
    assert!(command.contains("\"serve\", \"--config=/etc/heapql.toml\", \"--cluster=172.28.81.11:2882\""), "{command}");
    let launch = Launch::serve(&home).http("127.0.0.1:0").flag("--config").flag(place("heapql.toml"));
    let server = launch.flag("--cluster=127.0.0.1:0").flag("--peer=127.0.0.2:1").start();

    let program = place("leak");
    let mut compiler = Command::new("cc");
    tool(
        compiler.args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(docker.join("leak.c")),
        "",
    )
    .ok();
    let mut leak = Command::new(&program);
    record_into(&mut leak, &server.ledgers(), (1, 1));
    let _leak = Killed(leak.stdout(Stdio::null()).spawn().expect("the program can be started"));
    let login = Login::root().password("only a test");
    let mut client = Mysql::connect(&server.endpoints.mysql, &login).expect("the password is the file's");
    let sql = "SELECT app_frame FROM live_by_callsite WHERE label = 'glibc_malloc' AND app_frame LIKE 'read_request at leak.c%'";
    eventually("the leak to be named", || (client.query(sql).rows.len() == 1).then_some(()));
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
