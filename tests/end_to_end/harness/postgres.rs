//! A PostgreSQL client, by tokio-postgres: the simple protocol for text, the extended one for typed values.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{AsyncMessage, Config, NoTls, SimpleQueryMessage};

use super::{Answer, Client, Login, RUNTIME, SqlError, TIMEOUT};

type Notices = Arc<Mutex<Vec<String>>>;

pub(crate) struct Postgres {
    client: tokio_postgres::Client,
    notices: Notices,
}

/// A client, and where its notices arrive.
pub(crate) async fn connect(address: &str, login: &Login) -> Result<(tokio_postgres::Client, Notices), SqlError> {
    let (host, port) = address.rsplit_once(':').expect("an address has a port");
    let mut config = Config::new();
    config.host(host).port(port.parse().expect("a port is a number")).user(&login.user).connect_timeout(TIMEOUT);
    if let Some(password) = &login.password {
        config.password(password);
    }
    if let Some(database) = &login.database {
        config.dbname(database);
    }
    let (client, mut connection) = config.connect(NoTls).await.map_err(sql_error)?;
    let notices = Notices::default();
    let heard = notices.clone();
    tokio::spawn(async move {
        while let Some(Ok(message)) = futures::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message {
                heard.lock().expect("nothing panics with it").push(notice.message().to_owned());
            }
        }
    });
    Ok((client, notices))
}

fn sql_error(error: tokio_postgres::Error) -> SqlError {
    match error.as_db_error() {
        Some(server) => SqlError {
            number: None,
            state: server.code().code().to_owned(),
            message: server.message().to_owned(),
            hint: server.hint().unwrap_or_default().to_owned(),
        },
        None => SqlError::broken(error),
    }
}

fn bounded<T>(work: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    RUNTIME.block_on(async { tokio::time::timeout(TIMEOUT, work).await.expect("the server answers in time") })
}

/// Runs a statement with the simple protocol.
pub(crate) async fn simple_answer(client: &tokio_postgres::Client, sql: &str) -> Result<Answer, SqlError> {
    let mut answer = Answer::default();
    for message in client.simple_query(sql).await.map_err(sql_error)? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                answer.columns = columns.iter().map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned());
                answer.rows.push(values.collect());
            }
            SimpleQueryMessage::CommandComplete(rows) => answer.affected = Some(rows),
            _ => {}
        }
    }
    Ok(answer)
}

/// Prepares and runs a statement with the extended protocol, values in binary.
pub(crate) async fn extended_answer(
    client: &tokio_postgres::Client,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Answer, SqlError> {
    let statement = client.prepare(sql).await.map_err(sql_error)?;
    if statement.columns().is_empty() {
        let affected = client.execute(&statement, values).await.map_err(sql_error)?;
        return Ok(Answer { affected: Some(affected), ..Answer::default() });
    }
    let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
    let mut answer = Answer { columns, ..Answer::default() };
    for row in client.query(&statement, values).await.map_err(sql_error)? {
        let text = |i| row.get::<_, Option<Text>>(i).map_or("NULL".to_owned(), |text| text.0);
        answer.rows.push((0..row.len()).map(text).collect());
    }
    Ok(answer)
}

/// A binary value of any type that our tables have, as the simple protocol would print it.
struct Text(String);

/// A binary NUMERIC without a fraction: four 16-bit words (digits, weight of the first, sign, scale), then the digits, each
/// 0..9999, the most significant first.
fn integer(raw: &[u8]) -> Option<i128> {
    let words: Vec<i16> = raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
    let [count, weight, sign, scale, digits @ ..] = words.as_slice() else { return None };
    if *scale != 0 || digits.len() != usize::try_from(*count).ok()? {
        return None;
    }
    let digit = |place: usize| digits.get(place).copied().unwrap_or(0);
    let places = usize::try_from(i32::from(*weight) + 1).ok()?;
    let value = (0..places).fold(0, |value, place| value * 10_000 + i128::from(digit(place)));
    Some(if *sign == 0 { value } else { -value })
}

impl<'a> FromSql<'a> for Text {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Text, Box<dyn Error + Sync + Send>> {
        Ok(Text(match *kind {
            Type::BOOL => if bool::from_sql(kind, raw)? { "t" } else { "f" }.to_owned(),
            Type::INT2 => i16::from_sql(kind, raw)?.to_string(),
            Type::INT4 => i32::from_sql(kind, raw)?.to_string(),
            Type::INT8 => i64::from_sql(kind, raw)?.to_string(),
            Type::OID => u32::from_sql(kind, raw)?.to_string(),
            Type::FLOAT4 => f32::from_sql(kind, raw)?.to_string(),
            Type::FLOAT8 => f64::from_sql(kind, raw)?.to_string(),
            Type::NUMERIC => integer(raw).ok_or("a fraction has no text here: cast it")?.to_string(),
            _ => String::from_utf8(raw.to_vec()).map_err(|_| format!("a binary {kind} has no text here: cast it"))?,
        }))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Postgres {
    pub(crate) fn connect(address: &str, login: &Login) -> Result<Postgres, SqlError> {
        let (client, notices) = bounded(connect(address, login))?;
        Ok(Postgres { client, notices })
    }

    pub(crate) fn execute(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Answer, SqlError> {
        self.notices.lock().expect("nothing panics with it").clear();
        bounded(extended_answer(&self.client, sql, values))
    }

    /// Names of the types of a statement's columns.
    pub(crate) fn column_types(&mut self, sql: &str) -> Vec<String> {
        let statement = bounded(async { self.client.prepare(sql).await.map_err(sql_error) });
        let statement = statement.unwrap_or_else(|error| panic!("{sql}: {error}"));
        statement.columns().iter().map(|column| column.type_().name().to_owned()).collect()
    }
}

impl Client for Postgres {
    fn protocol(&self) -> &'static str {
        "postgres"
    }

    fn try_query(&mut self, sql: &str) -> Result<Answer, SqlError> {
        self.notices.lock().expect("nothing panics with it").clear();
        bounded(simple_answer(&self.client, sql))
    }

    fn try_warnings(&mut self) -> Result<Vec<String>, SqlError> {
        // Notices come before the end of the statement on the same stream, and the task that reads them has passed them.
        Ok(self.notices.lock().expect("nothing panics with it").clone())
    }
}
