//! A statement that would run for hours ends when it is cancelled, killed or late, or when its client leaves.

use std::sync::Arc;
use std::sync::mpsc::channel;

use crate::harness::{Client, Launch, Login, Mysql, Server, connect_postgres, eventually, scratch};

/// Each would run for hours: in a scan, in a join that finds nothing, in a join that finds everything.
const ENDLESS: [&str; 3] = [
    "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "SELECT count(*) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b WHERE a.value + b.value = -1",
    "SELECT count(*) FROM generate_series(1, 1000000) AS a CROSS JOIN generate_series(1, 1000000) AS b",
];

fn served() -> Server {
    Launch::serve(&Arc::new(scratch())).start()
}

/// The connection that runs an endless statement.
fn busy(client: &mut dyn Client) -> Option<String> {
    let answer = client.query("SHOW FULL PROCESSLIST");
    let running = answer.column("Info").iter().position(|info| info.contains("generate_series"))?;
    Some(answer.column("Id")[running].to_owned())
}

fn assert_idle(client: &mut dyn Client) {
    eventually("the statement to end", || busy(client).is_none().then_some(()));
    client.assert_alive();
}

#[test]
fn kill_query_ends_a_statement_and_not_its_connection() {
    let server = served();
    let mut other = server.mysql();
    for sql in ENDLESS {
        let mut client = server.mysql();
        let working = std::thread::spawn(move || {
            let error = client.refused(sql);
            client.assert_alive();
            error
        });
        let id = eventually("the statement to run", || busy(&mut other));
        other.query(&format!("KILL QUERY {id}"));
        let error = working.join().expect("it does not panic");
        assert_eq!((error.number, error.state.as_str()), (Some(1317), "70100"), "{sql}: {error}");
        assert_idle(&mut other);
    }
}

#[test]
fn more_statements_than_threads_keep_nobody_out() {
    let server = served();
    let working: Vec<_> = (0..8)
        .map(|number| {
            let mut client = server.mysql();
            std::thread::spawn(move || client.refused(ENDLESS[number % ENDLESS.len()]))
        })
        .collect();
    let mut other = server.mysql();
    let ids = eventually("all statements to run", || {
        let answer = other.query("SHOW FULL PROCESSLIST");
        let lines = answer.column("Id").into_iter().zip(answer.column("Info"));
        let ids = lines.filter(|(_, info)| info.contains("generate_series")).map(|(id, _)| id.to_owned());
        Some(ids.collect::<Vec<_>>()).filter(|ids| ids.len() == 8)
    });
    server.postgres().assert_alive();
    for id in ids {
        other.query(&format!("KILL QUERY {id}"));
    }
    for working in working {
        assert_eq!(working.join().expect("it does not panic").number, Some(1317));
    }
    assert_idle(&mut other);
}

#[test]
fn kill_ends_the_connection() {
    let server = served();
    let mut other = server.mysql();
    let mut client = server.mysql();
    let working = std::thread::spawn(move || client.refused(ENDLESS[0]));
    let id = eventually("the statement to run", || busy(&mut other));
    other.query(&format!("KILL {id}"));
    working.join().expect("it does not panic");
    assert_idle(&mut other);
    let ids = other.query("SHOW PROCESSLIST");
    assert!(!ids.column("Id").contains(&id.as_str()), "{ids:?}");
}

#[test]
fn cancel_requests_end_a_statement() {
    let server = served();
    let mut other = server.mysql();
    for sql in ENDLESS {
        let (send, receive) = channel();
        let address = server.endpoints.postgres.clone();
        let working = std::thread::spawn(move || {
            crate::harness::RUNTIME.block_on(async {
                let (client, _) = connect_postgres(&address, &Login::root()).await.expect("the login succeeds");
                send.send(client.cancel_token()).expect("somebody waits for it");
                let error = client.simple_query(sql).await.expect_err("it never ends by itself");
                client.simple_query("SELECT 1").await.expect("the connection lives on");
                error.code().map(|state| state.code().to_owned())
            })
        });
        let token = receive.recv().expect("the token");
        eventually("the statement to run", || busy(&mut other));
        crate::harness::RUNTIME.block_on(token.cancel_query(tokio_postgres::NoTls)).expect("the request is taken");
        assert_eq!(working.join().expect("it does not panic").as_deref(), Some("57014"), "{sql}");
        assert_idle(&mut other);
    }
}

#[test]
fn late_statements_end_by_themselves() {
    let server = served();
    let (mut mysql, mut postgres) = (server.mysql(), server.postgres());
    mysql.query("SET SESSION max_execution_time = 300");
    postgres.query("SET statement_timeout = '300ms'");
    for sql in ENDLESS {
        assert_eq!(mysql.refused(sql).number, Some(3024), "{sql}");
        assert_eq!(postgres.refused(sql).state, "57014", "{sql}");
    }
    mysql.assert_alive();
    postgres.assert_alive();
}

#[test]
fn a_client_that_leaves_takes_its_statement_along() {
    let server = served();
    let mut other = server.mysql();
    for address in [&server.endpoints.postgres, &server.endpoints.mysql] {
        let is_mysql = address == &server.endpoints.mysql;
        let program = if is_mysql { "mariadb" } else { "psql" };
        let (host, port) = address.split_once(':').expect("an address has a port");
        let mut command = std::process::Command::new(program);
        if is_mysql {
            command.args(["--no-defaults", "-h", host, "-P", port, "-uroot@sys", "-Doceanbase", "-e", ENDLESS[0]]);
        } else {
            command.args(["-X", "-h", host, "-p", port, "-U", "root", "-d", "oceanbase", "-c", ENDLESS[0]]);
        }
        let mut client = command.spawn().expect("the client starts");
        eventually("the statement to run", || busy(&mut other));
        client.kill().expect("the client is ours");
        client.wait().expect("the client is ours");
        assert_idle(&mut other);
    }
}

#[test]
fn a_server_ends_while_a_statement_runs() {
    let mut server = served();
    let mut other = server.mysql();
    let mut client = server.mysql();
    let working = std::thread::spawn(move || client.refused(ENDLESS[2]));
    eventually("the statement to run", || busy(&mut other));
    server.signal(libc::SIGTERM);
    server.wait();
    working.join().expect("it does not panic");
    assert!(Mysql::connect(&server.endpoints.mysql, &Login::root()).is_err());
}
