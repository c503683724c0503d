//! Users, passwords and hosts that may log in, and those that may not.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::{Client, Ended, Launch, Login, Mysql, Postgres, Server, SqlError, scratch, tool};

fn password_file(home: &TempDir, password: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = home.path().join("password");
    std::fs::write(&path, format!("{password}\n")).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its owner may");
    path
}

fn with_password() -> Server {
    let home = Arc::new(scratch());
    let file = password_file(&home, "s3cret wörd");
    Launch::serve(&home).flag("--password-file").flag(file).start()
}

/// One login per protocol.
fn logins(server: &Server, login: &Login) -> [Result<Box<dyn Client>, SqlError>; 2] {
    let boxed = |client: Mysql| Box::new(client) as Box<dyn Client>;
    let also = |client: Postgres| Box::new(client) as Box<dyn Client>;
    [
        Mysql::connect(&server.endpoints.mysql, login).map(boxed),
        Postgres::connect(&server.endpoints.postgres, login).map(also),
    ]
}

fn assert_denied(server: &Server, login: &Login) {
    let [mysql, postgres] = logins(server, login);
    let error = mysql.err().unwrap_or_else(|| panic!("{login:?} came in by mysql"));
    let using = if login.password.as_deref().unwrap_or_default().is_empty() { "NO" } else { "YES" };
    assert_eq!((error.number, error.state.as_str()), (Some(1045), "42000"), "{login:?}: {error}");
    assert!(error.message.starts_with("Access denied for user '"), "{error}");
    assert!(error.message.contains(&format!("(using password: {using})")), "{login:?}: {error}");
    let error = postgres.err().unwrap_or_else(|| panic!("{login:?} came in by postgres"));
    // Without a password to send, the client itself gives up when it is asked for one.
    let gave_up = login.password.is_none() && error.state.is_empty();
    assert!(error.state == "28P01" || gave_up, "{login:?}: {error}");
}

fn assert_welcome(server: &Server, login: &Login) {
    for client in logins(server, login) {
        client.unwrap_or_else(|error| panic!("{login:?}: {error}")).assert_alive();
    }
}

#[test]
fn the_right_password_is_accepted_and_wrong_ones_are_not() {
    let server = with_password();
    for user in ["root@sys", "root"] {
        assert_welcome(&server, &Login::user(user).password("s3cret wörd"));
        for wrong in ["", "s3cret", "s3cret wörd ", "S3CRET WÖRD"] {
            assert_denied(&server, &Login::user(user).password(wrong));
        }
        assert_denied(&server, &Login::user(user));
    }
}

#[test]
fn unknown_users_and_tenants_are_told_the_same() {
    let server = with_password();
    let message = |user: &str, password: &str| {
        let login = Login::user(user).password(password);
        let error = Mysql::connect(&server.endpoints.mysql, &login).err().expect("denied");
        assert_eq!(error.number, Some(1045));
        error.message.replace(&format!("'{user}'"), "USER")
    };
    let wrong = message("root@sys", "wrong");
    for user in ["nobody@sys", "root@t1", "root@1005", "root@", "nobody"] {
        for password in ["wrong", "s3cret wörd"] {
            assert_denied(&server, &Login::user(user).password(password));
            assert_eq!(message(user, password), wrong);
        }
    }
}

#[test]
fn without_a_password_file_root_has_none() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    for user in ["root@sys", "root"] {
        assert_welcome(&server, &Login::user(user));
    }
    for user in ["nobody", "root@t1", "nobody@sys"] {
        let [mysql, postgres] = logins(&server, &Login::user(user));
        assert_eq!(mysql.err().expect("denied").number, Some(1045), "{user}");
        assert_eq!(postgres.err().expect("denied").state, "28P01", "{user}");
    }
    // MySQL clients that are told a password although there is none are refused, as MySQL does.
    let login = Login::root().password("anything");
    assert_eq!(Mysql::connect(&server.endpoints.mysql, &login).err().expect("denied").number, Some(1045));
}

#[test]
fn databases_are_named_at_login() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    for database in ["oceanbase", "heapql"] {
        assert_welcome(&server, &Login::root().database(database));
    }
    let [mysql, postgres] = logins(&server, &Login::root().database("no_such_database"));
    assert_eq!(mysql.err().expect("refused").number, Some(1049));
    assert_eq!(postgres.err().expect("refused").state, "3D000");
}

#[test]
fn addresses_beyond_loopback_need_a_password() {
    for (mysql, postgres, address) in [("0.0.0.0:0", "off", "0.0.0.0:0"), ("127.0.0.1:0", "[::]:0", "[::]:0")] {
        let home = Arc::new(scratch());
        let output = tool(&mut Launch::serve(&home).listen(mysql, postgres).command(), "");
        assert!(matches!(output.ended, Ended::Status(status) if status != 0), "{output:?}");
        assert!(output.stderr.contains(address) && output.stderr.contains("--password-file"), "{}", output.stderr);
    }
    let home = Arc::new(scratch());
    let file = password_file(&home, "secret");
    let server = Launch::serve(&home).listen("0.0.0.0:0", "127.0.0.1:0").flag("--password-file").flag(file).start();
    let local = format!("127.0.0.1:{}", server.endpoints.mysql_port());
    let login = Login::root().password("secret");
    Mysql::connect(&local, &login).expect("the right password").assert_alive();
    let error = Mysql::connect(&local, &Login::root()).err().expect("denied");
    assert_eq!(error.number, Some(1045));
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let home = Arc::new(scratch());
    let output = tool(&mut Launch::serve(&home).listen(&address, "off").command(), "");
    assert!(matches!(output.ended, Ended::Status(status) if status != 0), "{output:?}");
    assert!(output.stderr.contains("--mysql") && output.stderr.contains(&address), "{}", output.stderr);
    let output = tool(&mut Launch::run("/bin/echo", &["never"]).listen("off", &address).command(), "");
    assert!(matches!(output.ended, Ended::Status(status) if status != 0), "{output:?}");
    assert!(output.stderr.contains("--postgres"), "{}", output.stderr);
    assert_eq!(output.stdout, "", "the program was not started");
}

#[test]
fn greetings_are_those_of_oceanbase() {
    let server = Launch::serve(&Arc::new(scratch())).start();
    let mut client = server.mysql();
    assert!(client.query("SELECT version()").value().starts_with("5.7.25-OceanBase"));
    assert!(client.query("SELECT @@version").value().starts_with("5.7.25-OceanBase"));
    assert!(client.query("SELECT @@version_comment").value().contains("OceanBase"));
    assert_eq!(client.query("SELECT database()").value(), "oceanbase");
    let ids: Vec<i64> = (0..2).map(|_| server.mysql().query("SELECT connection_id()").number()).collect();
    assert_ne!(ids[0], ids[1]);
}
