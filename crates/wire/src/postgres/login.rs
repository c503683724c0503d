//! The log-in, from the first byte to ReadyForQuery: offers of encryption, which are declined, cancel requests, the startup message, and
//! the check of the password. Later messages are `connection`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use heapql_server::{Dialect, Failure, FailureKind, POSTGRES_VERSION};
use heapql_sql::{Engine, Login, Session};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey};
use tracing::{Span, debug, warn};

use super::message::{self, FrontendMessage};
use super::reply::{self, send};
use super::scram::{self, PasswordVerifier};
use crate::codes::code;
use crate::cursor::{DecodeError, MessageCursor};
use crate::limits::LIMIT_AFTER_LOGIN;
use crate::transport::{Transport, TransportError};

const PROTOCOL_3_0: u32 = 3 << 16;
const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;
const SSL_REQUEST: u32 = (1234 << 16) | 5679;
const GSS_REQUEST: u32 = (1234 << 16) | 5680;
/// Maximum length of a message before log-in, as in PostgreSQL.
const MAX_STARTUP: usize = 10_000;
/// Maximum number of offers of encryption: SSL, GSS, and one more.
const MAX_OFFERS: usize = 3;

/// The first message of a client.
pub(super) enum FirstMessage {
    Startup(BTreeMap<String, String>),
    Cancel { id: u32, secret: i32 },
}

/// Logs a client in. Returns None when the connection is to be closed, after the client was told the reason.
pub(super) async fn login(
    transport: &mut Transport,
    engine: &Arc<Engine>,
    verifier: Option<&PasswordVerifier>,
) -> Result<Option<Arc<Session>>, TransportError> {
    let parameters = match first(transport).await? {
        FirstMessage::Startup(parameters) => parameters,
        FirstMessage::Cancel { id, secret } => {
            let found = engine.server().connections().cancel_with_secret(id, secret);
            debug!(id, found, "cancel request");
            return Ok(None);
        }
    };
    let Some(user) = parameters.get("user").filter(|user| !user.is_empty()) else {
        reply::fatal(transport, code(FailureKind::AccessDenied), "no PostgreSQL user name specified in startup packet");
        return Ok(None);
    };
    let server_proof = match verifier {
        Some(verifier) => match authenticate(transport, verifier).await? {
            Some(proof) => Some(proof),
            None => return Ok(deny(transport, user)),
        },
        None => None,
    };
    let session = match Session::open(engine, session_login(transport, user, &parameters)) {
        Ok(session) => session,
        Err(failure) if failure.kind == FailureKind::AccessDenied => return Ok(deny(transport, user)),
        Err(failure) => {
            warn!(user, "refused: {failure}");
            reply::fatal_failure(transport, &failure);
            return Ok(None);
        }
    };
    if let Err(failure) = apply_options(&session, &parameters).await {
        reply::fatal_failure(transport, &failure);
        return Ok(None);
    }
    Span::current().record("user", user.as_str());
    transport.limit = LIMIT_AFTER_LOGIN;
    if let Some(proof) = server_proof {
        send(transport, &Backend::Authentication(Authentication::SASLFinal(proof.into())));
    }
    welcome(transport, user, &parameters);
    Ok(Some(session))
}

/// Reads up to the startup message or cancel request, and declines offers of encryption.
pub(super) async fn first(transport: &mut Transport) -> Result<FirstMessage, TransportError> {
    for _ in 0..=MAX_OFFERS {
        let body = read_untyped(transport).await?;
        let mut cursor = MessageCursor::new(&body);
        match cursor.u32_be("protocol version")? {
            SSL_REQUEST | GSS_REQUEST => {
                transport.output.put_u8(b'N');
                transport.flush().await?;
            }
            CANCEL_REQUEST => {
                return Ok(FirstMessage::Cancel {
                    id: cursor.u32_be("process id")?,
                    secret: cursor.i32_be("secret key")?,
                });
            }
            version if version >> 16 == 3 => {
                let parameters = read_parameters(&mut cursor)?;
                negotiate(transport, version, &parameters);
                return Ok(FirstMessage::Startup(parameters));
            }
            _ => {
                return Err(TransportError::Malformed("protocol version, of which 3.0 is spoken"));
            }
        }
    }
    Err(TransportError::Malformed("startup message"))
}

async fn read_untyped(transport: &mut Transport) -> Result<Bytes, TransportError> {
    transport.need(4).await?;
    let length =
        u32::from_be_bytes([transport.input[0], transport.input[1], transport.input[2], transport.input[3]]) as usize;
    if !(8..=MAX_STARTUP).contains(&length) {
        return Err(TransportError::Malformed("length of the startup message"));
    }
    transport.need(length).await?;
    Ok(transport.take(length).freeze().slice(4..))
}

fn read_parameters(cursor: &mut MessageCursor<'_>) -> Result<BTreeMap<String, String>, DecodeError> {
    let mut parameters = BTreeMap::new();
    loop {
        let name = cursor.text("name of a startup parameter")?;
        if name.is_empty() {
            return Ok(parameters);
        }
        parameters.insert(name, cursor.text("value of a startup parameter")?);
    }
}

/// Answers a newer minor version, or extensions, with 3.0 and no extensions.
fn negotiate(transport: &mut Transport, version: u32, parameters: &BTreeMap<String, String>) {
    let extensions: Vec<String> = parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if version != PROTOCOL_3_0 || !extensions.is_empty() {
        let answer = NegotiateProtocolVersion::new(PROTOCOL_3_0 as i32, extensions);
        send(transport, &Backend::NegotiateProtocolVersion(answer));
    }
}

/// Runs the SCRAM exchange. Returns the server's proof, which is not sent yet because the user may be unknown.
async fn authenticate(
    transport: &mut Transport,
    verifier: &PasswordVerifier,
) -> Result<Option<String>, TransportError> {
    send(transport, &Backend::Authentication(Authentication::SASL(vec![scram::METHOD.to_owned()])));
    let (method, first) = scram::initial_response(&password_message(transport).await?)?;
    if method != scram::METHOD {
        return Err(TransportError::Malformed("SASL method, which must be SCRAM-SHA-256"));
    }
    let Ok((challenge, exchange)) = verifier.challenge(&first) else {
        return Err(TransportError::Malformed("first message of SCRAM"));
    };
    send(transport, &Backend::Authentication(Authentication::SASLContinue(challenge.into())));
    let last = password_message(transport).await?;
    Ok(exchange.check(&last).ok())
}

async fn password_message(transport: &mut Transport) -> Result<Bytes, TransportError> {
    transport.flush().await?;
    match message::read(transport).await? {
        FrontendMessage::Password(body) => Ok(body),
        FrontendMessage::Terminate => Err(TransportError::Closed),
        _ => Err(TransportError::Malformed("answer to the request for a password")),
    }
}

/// Refuses a client with the same message for a wrong password and for an unknown user or tenant.
fn deny(transport: &mut Transport, user: &str) -> Option<Arc<Session>> {
    warn!(user, "access denied");
    let message = format!("password authentication failed for user \"{user}\"");
    reply::fatal(transport, code(FailureKind::AccessDenied), &message);
    None
}

fn session_login(transport: &Transport, user: &str, parameters: &BTreeMap<String, String>) -> Login {
    // Clients without a database ask for one with the user's name.
    let database = parameters.get("database").filter(|name| !name.is_empty() && *name != user);
    Login {
        user: user.to_owned(),
        database: database.cloned(),
        dialect: Dialect::Postgres,
        peer: transport.peer(),
        connection_id: transport.id(),
    }
}

/// Applies `options=-c name=value ..`, as PGOPTIONS and JDBC send it. A setting that fails also fails the log-in, as in PostgreSQL.
async fn apply_options(session: &Arc<Session>, parameters: &BTreeMap<String, String>) -> Result<(), Failure> {
    let Some(options) = parameters.get("options") else {
        return Ok(());
    };
    for (name, value) in settings(options) {
        let statement = format!("SET {name} = '{}'", value.replace('\'', "''"));
        session.execute(&statement).await?;
    }
    Ok(())
}

fn settings(options: &str) -> Vec<(&str, &str)> {
    let mut words = options.split_ascii_whitespace();
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word {
            "-c" => words.next(),
            _ => word.strip_prefix("--").or_else(|| word.strip_prefix("-c")),
        };
        let pair = setting.and_then(|setting| setting.split_once('='));
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
        settings.extend(pair.filter(|(name, _)| is_name(name)));
    }
    settings
}

/// Writes AuthenticationOk, the settings that clients rely on, and the key for cancel requests.
fn welcome(transport: &mut Transport, user: &str, parameters: &BTreeMap<String, String>) {
    send(transport, &Backend::Authentication(Authentication::Ok));
    let application = parameters.get("application_name").map_or("", String::as_str);
    let settings = [
        ("application_name", application),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("default_transaction_read_only", "on"),
        ("in_hot_standby", "off"),
        ("integer_datetimes", "on"),
        ("IntervalStyle", "postgres"),
        ("is_superuser", "on"),
        ("server_encoding", "UTF8"),
        ("server_version", POSTGRES_VERSION),
        ("session_authorization", user),
        ("standard_conforming_strings", "on"),
        ("TimeZone", "UTC"),
    ];
    for (name, value) in settings {
        let status = ParameterStatus::new(name.to_owned(), value.to_owned());
        send(transport, &Backend::ParameterStatus(status));
    }
    let key = BackendKeyData::new(transport.id() as i32, SecretKey::I32(transport.secret()));
    send(transport, &Backend::BackendKeyData(key));
    reply::ready(transport, false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        assert_eq!(settings("-c a=1 --b.c=2 -cd=x=y -e nonsense -c"), [("a", "1"), ("b.c", "2"), ("d", "x=y")]);
        assert!(settings("-c a;drop=1").is_empty());
    }

    #[test]
    fn parameters_end_with_a_zero() {
        let read = |bytes: &[u8]| read_parameters(&mut MessageCursor::new(bytes));
        let parameters = read(b"user\0root\0database\0oceanbase\0\0").expect("parameters");
        assert_eq!(parameters["user"], "root");
        assert_eq!(parameters["database"], "oceanbase");
        assert!(read(b"user\0root\0").is_err());
        assert!(read(b"").is_err());
    }
}
