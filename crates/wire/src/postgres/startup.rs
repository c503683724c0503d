//! From the first byte to ReadyForQuery: the offers of encryption that are declined, cancel requests, the startup
//! message, the proof of the password. The message loop starts after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use heapql_server::{Dialect, Failure, FailureKind, POSTGRES_VERSION};
use heapql_sql::{Engine, Login, Session};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey};
use tracing::{Span, debug, warn};

use super::message::{self, Message};
use super::reply::{self, send};
use super::scram::{self, Verifier};
use crate::codes::code;
use crate::cursor::{Cursor, Malformed};
use crate::link::{LIMIT_AFTER_LOGIN, Link, LinkError};

const PROTOCOL_3_0: u32 = 3 << 16;
const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;
const SSL_REQUEST: u32 = (1234 << 16) | 5679;
const GSS_REQUEST: u32 = (1234 << 16) | 5680;
/// PostgreSQL's own bound on what comes before log-in.
const MAX_STARTUP: usize = 10_000;
/// SSL, GSS, and one more for luck.
const MAX_OFFERS: usize = 3;

/// What a client opens with.
pub(super) enum First {
    Startup(BTreeMap<String, String>),
    Cancel { id: u32, secret: i32 },
}

/// Logs in. `None`: the connection is to be closed; the client has been told why, if anything.
pub(super) async fn login(
    link: &mut Link,
    engine: &Arc<Engine>,
    verifier: Option<&Verifier>,
) -> Result<Option<Arc<Session>>, LinkError> {
    let parameters = match first(link).await? {
        First::Startup(parameters) => parameters,
        First::Cancel { id, secret } => {
            let found = engine.server().connections().cancel_with_secret(id, secret);
            debug!(id, found, "cancel request");
            return Ok(None);
        }
    };
    let Some(user) = parameters.get("user").filter(|user| !user.is_empty()) else {
        reply::fatal(link, code(FailureKind::AccessDenied), "no PostgreSQL user name specified in startup packet");
        return Ok(None);
    };
    let server_proof = match verifier {
        Some(verifier) => match authenticate(link, verifier).await? {
            Some(proof) => Some(proof),
            None => return Ok(deny(link, user)),
        },
        None => None,
    };
    let session = match Session::open(engine, claim(link, user, &parameters)) {
        Ok(session) => session,
        Err(failure) if failure.kind == FailureKind::AccessDenied => return Ok(deny(link, user)),
        Err(failure) => {
            warn!(user, "refused: {failure}");
            reply::fatal_failure(link, &failure);
            return Ok(None);
        }
    };
    if let Err(failure) = apply_options(&session, &parameters).await {
        reply::fatal_failure(link, &failure);
        return Ok(None);
    }
    Span::current().record("user", user.as_str());
    link.limit = LIMIT_AFTER_LOGIN;
    if let Some(proof) = server_proof {
        send(link, &Backend::Authentication(Authentication::SASLFinal(proof.into())));
    }
    welcome(link, user, &parameters);
    Ok(Some(Arc::new(session)))
}

/// Reads up to the startup or cancel message, declining encryption on the way.
pub(super) async fn first(link: &mut Link) -> Result<First, LinkError> {
    for _ in 0..=MAX_OFFERS {
        let body = read_untyped(link).await?;
        let mut cursor = Cursor::new(&body);
        match cursor.u32_be("protocol version")? {
            SSL_REQUEST | GSS_REQUEST => {
                link.output.put_u8(b'N');
                link.flush().await?;
            }
            CANCEL_REQUEST => {
                return Ok(First::Cancel { id: cursor.u32_be("process id")?, secret: cursor.i32_be("secret key")? });
            }
            version if version >> 16 == 3 => {
                let parameters = read_parameters(&mut cursor)?;
                negotiate(link, version, &parameters);
                return Ok(First::Startup(parameters));
            }
            _ => {
                return Err(LinkError::Malformed("protocol version, of which 3.0 is spoken"));
            }
        }
    }
    Err(LinkError::Malformed("startup message"))
}

async fn read_untyped(link: &mut Link) -> Result<Bytes, LinkError> {
    link.need(4).await?;
    let length = u32::from_be_bytes([link.input[0], link.input[1], link.input[2], link.input[3]]) as usize;
    if !(8..=MAX_STARTUP).contains(&length) {
        return Err(LinkError::Malformed("length of the startup message"));
    }
    link.need(length).await?;
    Ok(link.take(length).freeze().slice(4..))
}

fn read_parameters(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>, Malformed> {
    let mut parameters = BTreeMap::new();
    loop {
        let name = cursor.text("name of a startup parameter")?;
        if name.is_empty() {
            return Ok(parameters);
        }
        parameters.insert(name, cursor.text("value of a startup parameter")?);
    }
}

/// A newer minor version, or extensions of it, are answered with what there is: 3.0 and no extensions.
fn negotiate(link: &mut Link, version: u32, parameters: &BTreeMap<String, String>) {
    let extensions: Vec<String> = parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if version != PROTOCOL_3_0 || !extensions.is_empty() {
        let answer = NegotiateProtocolVersion::new(PROTOCOL_3_0 as i32, extensions);
        send(link, &Backend::NegotiateProtocolVersion(answer));
    }
}

/// The exchange of SCRAM. Ends in the server's proof, not yet sent: the user may still be unknown.
async fn authenticate(link: &mut Link, verifier: &Verifier) -> Result<Option<String>, LinkError> {
    send(link, &Backend::Authentication(Authentication::SASL(vec![scram::METHOD.to_owned()])));
    let (method, first) = scram::initial_response(&password_message(link).await?)?;
    if method != scram::METHOD {
        return Err(LinkError::Malformed("SASL method, which must be SCRAM-SHA-256"));
    }
    let Ok((challenge, exchange)) = verifier.challenge(&first) else {
        return Err(LinkError::Malformed("first message of SCRAM"));
    };
    send(link, &Backend::Authentication(Authentication::SASLContinue(challenge.into())));
    let last = password_message(link).await?;
    Ok(exchange.check(&last).ok())
}

async fn password_message(link: &mut Link) -> Result<Bytes, LinkError> {
    link.flush().await?;
    match message::read(link).await? {
        Message::Password(body) => Ok(body),
        Message::Terminate => Err(LinkError::Closed),
        _ => Err(LinkError::Malformed("answer to the request for a password")),
    }
}

/// The same words for a wrong password and for an unknown user or tenant.
fn deny(link: &mut Link, user: &str) -> Option<Arc<Session>> {
    warn!(user, "access denied");
    let message = format!("password authentication failed for user \"{user}\"");
    reply::fatal(link, code(FailureKind::AccessDenied), &message);
    None
}

fn claim(link: &Link, user: &str, parameters: &BTreeMap<String, String>) -> Login {
    // Clients that were given no database ask for one named as the user.
    let database = parameters.get("database").filter(|name| !name.is_empty() && *name != user);
    Login {
        user: user.to_owned(),
        database: database.cloned(),
        dialect: Dialect::Postgres,
        peer: link.peer(),
        connection_id: link.id(),
    }
}

/// `options=-c name=value ..`, as PGOPTIONS and JDBC send it. What cannot be set fails the log-in, as in PostgreSQL.
async fn apply_options(session: &Session, parameters: &BTreeMap<String, String>) -> Result<(), Failure> {
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

/// AuthenticationOk, the settings that clients rely on, and the key to cancel with.
fn welcome(link: &mut Link, user: &str, parameters: &BTreeMap<String, String>) {
    send(link, &Backend::Authentication(Authentication::Ok));
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
        send(link, &Backend::ParameterStatus(status));
    }
    let key = BackendKeyData::new(link.id() as i32, SecretKey::I32(link.secret()));
    send(link, &Backend::BackendKeyData(key));
    reply::ready(link, false);
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
        let read = |bytes: &[u8]| read_parameters(&mut Cursor::new(bytes));
        let parameters = read(b"user\0root\0database\0oceanbase\0\0").expect("parameters");
        assert_eq!(parameters["user"], "root");
        assert_eq!(parameters["database"], "oceanbase");
        assert!(read(b"user\0root\0").is_err());
        assert!(read(b"").is_err());
    }
}
