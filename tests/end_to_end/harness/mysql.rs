//! A MySQL client, by mysql_async.

use std::future::Future;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, QueryResult, Value};

use super::{Answer, Client, Login, RUNTIME, SqlError, TIMEOUT};

pub(crate) struct Mysql {
    conn: Option<Conn>,
}

pub(crate) async fn connect(address: &str, login: &Login) -> Result<Conn, SqlError> {
    let (host, port) = address.rsplit_once(':').expect("an address has a port");
    let opts = OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port.parse().expect("a port is a number"))
        .user(Some(&login.user))
        .pass(login.password.as_deref())
        .db_name(login.database.as_deref())
        .prefer_socket(false);
    Conn::new(opts).await.map_err(sql_error)
}

fn sql_error(error: mysql_async::Error) -> SqlError {
    match error {
        mysql_async::Error::Server(server) => {
            SqlError { number: Some(server.code), state: server.state, message: server.message, hint: String::new() }
        }
        other => SqlError::broken(other),
    }
}

fn bounded<T>(work: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    RUNTIME.block_on(async { tokio::time::timeout(TIMEOUT, work).await.expect("the server answers in time") })
}

/// Runs a statement with the text protocol.
pub(crate) async fn text_answer(conn: &mut Conn, sql: &str) -> Result<Answer, SqlError> {
    let mut result = conn.query_iter(sql).await.map_err(sql_error)?;
    let answer = collect(&mut result).await?;
    // Of several statements the first one's answer counts, and any one's error.
    while !result.is_empty() {
        collect(&mut result).await?;
    }
    // An error of a later statement is kept until somebody asks for what comes next.
    result.next().await.map_err(sql_error)?;
    Ok(answer)
}

async fn collect<P: mysql_async::prelude::Protocol>(result: &mut QueryResult<'_, '_, P>) -> Result<Answer, SqlError> {
    let mut answer = Answer::default();
    let Some(columns) = result.columns().filter(|columns| !columns.is_empty()) else {
        answer.affected = Some(result.affected_rows());
        result.next().await.map_err(sql_error)?;
        return Ok(answer);
    };
    answer.columns = columns.iter().map(|column| column.name_str().into_owned()).collect();
    while let Some(row) = result.next().await.map_err(sql_error)? {
        answer.rows.push(row.unwrap().iter().map(text).collect());
    }
    Ok(answer)
}

fn text(value: &Value) -> String {
    match value {
        Value::NULL => "NULL".to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        other => other.as_sql(true).trim_matches('\'').to_owned(),
    }
}

impl Mysql {
    pub(crate) fn connect(address: &str, login: &Login) -> Result<Mysql, SqlError> {
        let conn = bounded(connect(address, login))?;
        Ok(Mysql { conn: Some(conn) })
    }

    fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("the connection is open")
    }

    /// Prepares, executes with values, and reads the binary protocol.
    pub(crate) fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<Answer, SqlError> {
        let conn = self.conn();
        bounded(async {
            let mut result = conn.exec_iter(sql, values).await.map_err(sql_error)?;
            collect(&mut result).await
        })
    }

    /// The number of warnings in the packet of the last answer.
    pub(crate) fn warning_count(&mut self) -> u16 {
        self.conn().get_warnings()
    }

    /// The rows of SHOW WARNINGS: level, code, message.
    pub(crate) fn show_warnings(&mut self) -> Vec<(String, String, String)> {
        self.try_show_warnings().unwrap_or_else(|error| panic!("SHOW WARNINGS: {error}"))
    }

    fn try_show_warnings(&mut self) -> Result<Vec<(String, String, String)>, SqlError> {
        let answer = self.try_query("SHOW WARNINGS")?;
        assert_eq!(answer.columns, ["Level", "Code", "Message"]);
        Ok(answer.rows.into_iter().map(|row| (row[0].clone(), row[1].clone(), row[2].clone())).collect())
    }
}

impl Client for Mysql {
    fn protocol(&self) -> &'static str {
        "mysql"
    }

    fn try_query(&mut self, sql: &str) -> Result<Answer, SqlError> {
        let conn = self.conn();
        bounded(text_answer(conn, sql))
    }

    fn try_warnings(&mut self) -> Result<Vec<String>, SqlError> {
        Ok(self.try_show_warnings()?.into_iter().map(|(_, _, message)| message).collect())
    }
}

impl Drop for Mysql {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            // Best effort: the server may be gone already.
            let _ = RUNTIME.block_on(async { tokio::time::timeout(TIMEOUT, conn.disconnect()).await });
        }
    }
}
