//! Statements against a real registry over real ledgers, without a wire. The protocols' own tests are `.slt` files.
#![allow(unsafe_code)]

mod bench;
mod cluster;
mod examples;
mod ledger;
mod mysql;
mod old_columns;
mod postgres;
mod read_only;
mod statements;
mod tables;

use std::sync::Arc;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use heapql_ledger::Sampling;
use heapql_registry::{Registry, RegistrySettings};

use heapql_server::{Dialect, Failure, FailureKind, Server, ServerConfig, Slot};

use crate::{Engine, Login, Outcome, Session};

/// A server over one directory of ledgers.
struct House {
    server: Arc<Server>,
    engine: Arc<Engine>,
    folder: tempfile::TempDir,
}

/// Headings, and cells as text with NULL for null.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

struct Client {
    session: Arc<Session>,
    slot: Slot,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().expect("a folder");
        House::over(folder, None)
    }

    fn over(folder: tempfile::TempDir, parameter_file: Option<std::path::PathBuf>) -> House {
        let engine = server(folder.path(), parameter_file);
        House { server: Arc::clone(engine.server()), engine, folder }
    }

    fn mysql(&self) -> Client {
        self.client(Dialect::MySql)
    }

    fn postgres(&self) -> Client {
        self.client(Dialect::Postgres)
    }

    fn client(&self, dialect: Dialect) -> Client {
        client(&self.engine, dialect)
    }
}

fn client(engine: &Arc<Engine>, dialect: Dialect) -> Client {
    let slot = engine.server().connections().admit("127.0.0.1:5000").expect("a slot");
    let login = Login {
        user: "root@sys".to_owned(),
        database: None,
        dialect,
        peer: "127.0.0.1:5000".to_owned(),
        connection_id: slot.id(),
    };
    Client { session: Session::open(engine, login).expect("a session"), slot }
}

fn server(folder: &std::path::Path, parameter_file: Option<std::path::PathBuf>) -> Arc<Engine> {
    server_of(folder, parameter_file, None)
}

/// That keeps its history in the folder `history` below.
fn server_with_history(folder: &std::path::Path) -> Arc<Engine> {
    server_of(folder, None, Some(folder.join("history")))
}

fn server_of(
    folder: &std::path::Path,
    parameter_file: Option<std::path::PathBuf>,
    history_folder: Option<std::path::PathBuf>,
) -> Arc<Engine> {
    server_at("127.0.0.1", folder, parameter_file, history_folder)
}

fn server_at(
    svr_ip: &str,
    folder: &std::path::Path,
    parameter_file: Option<std::path::PathBuf>,
    history_folder: Option<std::path::PathBuf>,
) -> Arc<Engine> {
    let settings = RegistrySettings { root: folder.to_owned(), keep_dead_files: 16, keep_dead_bytes: 1 << 30 };
    let server = Server::new(ServerConfig {
        registry: Arc::new(Registry::open(settings).expect("a registry")),
        svr_ip: svr_ip.to_owned(),
        svr_port: 2882,
        sql_port: 2881,
        parameter_file,
        history_folder,
        suspect_folder: None,
        initial: Sampling::DEFAULT,
        password: None,
        error_number: |kind| if kind == FailureKind::InvalidParameter { 4147 } else { 1105 },
    });
    Engine::new(server.expect("a server")).expect("an engine")
}

impl Client {
    async fn ask(&self, text: &str) -> Result<Answer, Failure> {
        answer(self.session.execute(text).await?).await
    }

    async fn rows(&self, text: &str) -> Vec<Vec<String>> {
        match self.ask(text).await {
            Ok(answer) => answer.rows,
            Err(failure) => panic!("{text}: {failure}"),
        }
    }

    async fn one(&self, text: &str) -> String {
        let rows = self.rows(text).await;
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{text}: {rows:?}");
        rows[0][0].clone()
    }

    async fn done(&self, text: &str) -> String {
        match self.session.execute(text).await {
            Ok(Outcome::Done { tag }) => tag,
            Ok(Outcome::Deallocate { name: None }) => "DEALLOCATE ALL".to_owned(),
            Ok(Outcome::Deallocate { name: Some(_) }) => "DEALLOCATE".to_owned(),
            other => panic!("{text}: {other:?}"),
        }
    }

    async fn refused(&self, text: &str) -> FailureKind {
        match self.ask(text).await {
            Ok(answer) => panic!("{text}: {answer:?}"),
            Err(failure) => failure.kind,
        }
    }
}

async fn answer(outcome: Outcome) -> Result<Answer, Failure> {
    let (schema, mut stream) = match outcome {
        Outcome::Rows { schema, stream, .. } => (schema, stream),
        other => panic!("no rows: {other:?}"),
    };
    let headings = schema.fields().iter().map(|field| field.name().clone()).collect();
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(Failure::from_datafusion)?;
        assert_eq!(batch.schema(), schema);
        let columns: Vec<_> =
            batch.columns().iter().map(|array| ArrayFormatter::try_new(array, &options).expect("formats")).collect();
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect()),
        );
    }
    Ok(Answer { headings, rows })
}
