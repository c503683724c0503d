//! The greeting, the client's credentials, and their check. It ends in a session or in error 1045, which never tells whether the user,
//! the tenant or the password was wrong. Commands are `connection`'s.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use heapql_server::{Dialect, FailureKind, VERSION};
use heapql_sql::{Engine, Login, Session};
use tracing::{Span, warn};

use super::auth::{self, Plugin, Salt};
use super::packet::PacketStream;
use super::protocol::*;
use super::reply;
use crate::codes::{self, code};
use crate::cursor::{DecodeError, MessageCursor};
use crate::limits::LIMIT_AFTER_LOGIN;
use crate::transport::TransportError;

/// A client that has logged in.
pub(super) struct LoggedIn {
    pub(super) session: Arc<Session>,
    pub(super) salt: Salt,
    pub(super) capabilities: u32,
    pub(super) user: String,
}

/// The credentials of a client.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) database: Option<String>,
    pub(super) plugin: Option<Bytes>,
    pub(super) proof: Bytes,
}

/// Greets a client and logs it in. Returns None when the client was refused and told so.
pub(super) async fn login(wire: &mut PacketStream, engine: &Arc<Engine>) -> Result<Option<LoggedIn>, TransportError> {
    let salt = auth::salt();
    greet(wire, &salt);
    wire.transport.flush().await?;
    let answer = wire.read().await?;
    let capabilities = MessageCursor::new(&answer).u32_le("client capabilities")?;
    if capabilities & CLIENT_SSL != 0 || capabilities & CLIENT_PROTOCOL_41 == 0 {
        reply::error(wire, codes::HANDSHAKE, "Bad handshake: this server speaks protocol 4.1 without TLS");
        return Ok(None);
    }
    let credentials = read_credentials(&answer, capabilities)?;
    Ok(admit(wire, engine, &salt, credentials).await?.map(|session| LoggedIn {
        session: session.0,
        salt,
        capabilities,
        user: session.1,
    }))
}

fn greet(wire: &mut PacketStream, salt: &Salt) {
    let id = wire.transport.id();
    wire.write(|out| {
        out.put_u8(10);
        out.put_slice(VERSION.as_bytes());
        out.put_u8(0);
        out.put_u32_le(id);
        out.put_slice(&salt[..8]);
        out.put_u8(0);
        out.put_u16_le(SERVER_CAPABILITIES as u16);
        out.put_u8(UTF8MB4_GENERAL_CI as u8);
        out.put_u16_le(SERVER_STATUS_AUTOCOMMIT);
        out.put_u16_le((SERVER_CAPABILITIES >> 16) as u16);
        out.put_u8(auth::SALT_BYTES as u8 + 1);
        out.put_bytes(0, 10);
        out.put_slice(&salt[8..]);
        out.put_u8(0);
        out.put_slice(Plugin::Native.name().as_bytes());
        out.put_u8(0);
    });
}

/// Reads a HandshakeResponse41.
fn read_credentials(answer: &Bytes, capabilities: u32) -> Result<Credentials, DecodeError> {
    let mut cursor = MessageCursor::new(answer);
    cursor.take(4 + 4 + 1 + 23, "handshake response")?;
    let user = cursor.text("user name")?;
    let proof = if capabilities & CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA != 0 {
        cursor.lenenc("password proof")?
    } else if capabilities & CLIENT_SECURE_CONNECTION != 0 {
        let length = cursor.u8("password proof")?;
        cursor.take(usize::from(length), "password proof")?
    } else {
        cursor.until_zero("password proof")?
    };
    let database = if capabilities & CLIENT_CONNECT_WITH_DB != 0 && !cursor.is_empty() {
        Some(cursor.text("database name")?).filter(|name| !name.is_empty())
    } else {
        None
    };
    let plugin = if capabilities & CLIENT_PLUGIN_AUTH != 0 && !cursor.is_empty() {
        Some(answer.slice_ref(cursor.until_zero("plugin name")?))
    } else {
        None
    };
    Ok(Credentials { user, database, plugin, proof: answer.slice_ref(proof) })
}

/// Checks credentials and answers them: with OK, or with an error and None. COM_CHANGE_USER uses it too.
pub(super) async fn admit(
    wire: &mut PacketStream,
    engine: &Arc<Engine>,
    salt: &Salt,
    credentials: Credentials,
) -> Result<Option<(Arc<Session>, String)>, TransportError> {
    let (plugin, proof) = proof(wire, salt, &credentials).await?;
    let proven = plugin.proves(engine.server().password(), salt, &proof);
    let login = Login {
        user: credentials.user.clone(),
        database: credentials.database,
        dialect: Dialect::MySql,
        peer: wire.transport.peer(),
        connection_id: wire.transport.id(),
    };
    // A wrong password is refused here for known and unknown users alike, after the same work.
    let opened = if proven { Some(Session::open(engine, login)) } else { None };
    let session = match opened {
        Some(Ok(session)) => session,
        Some(Err(failure)) if failure.kind != FailureKind::AccessDenied => {
            warn!(user = credentials.user, "refused: {failure}");
            reply::failure(wire, &failure);
            return Ok(None);
        }
        _ => {
            deny(wire, &credentials.user, !auth::is_empty(&proof));
            return Ok(None);
        }
    };
    Span::current().record("user", credentials.user.as_str());
    wire.transport.limit = LIMIT_AFTER_LOGIN;
    if plugin == Plugin::CachingSha2 && !auth::is_empty(&proof) {
        wire.write(|out| out.put_slice(&[0x01, 0x03])); // fast_auth_success
    }
    reply::ok(wire, SERVER_STATUS_AUTOCOMMIT, 0);
    Ok(Some((session, credentials.user)))
}

/// The proof in the credentials. A proof of another plugin is asked for again.
async fn proof(
    wire: &mut PacketStream,
    salt: &Salt,
    credentials: &Credentials,
) -> Result<(Plugin, Bytes), TransportError> {
    let named = credentials.plugin.as_deref().map(Plugin::named);
    let plugin = match named {
        None | Some(Some(Plugin::Native)) => return Ok((Plugin::Native, credentials.proof.clone())),
        Some(Some(plugin)) => plugin,
        Some(None) => Plugin::Native,
    };
    wire.write(|out| {
        out.put_u8(0xfe);
        out.put_slice(plugin.name().as_bytes());
        out.put_u8(0);
        out.put_slice(salt);
        out.put_u8(0);
    });
    wire.transport.flush().await?;
    Ok((plugin, wire.read().await?))
}

fn deny(wire: &mut PacketStream, user: &str, with_password: bool) {
    let host = wire.transport.host();
    warn!(user, "access denied");
    let message = format!(
        "Access denied for user '{user}'@'{host}' (using password: {})",
        if with_password { "YES" } else { "NO" }
    );
    reply::error(wire, code(FailureKind::AccessDenied), &message);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(capabilities: u32, tail: &[u8]) -> Bytes {
        let mut answer = capabilities.to_le_bytes().to_vec();
        answer.extend([0; 28]);
        answer.extend(tail);
        Bytes::from(answer)
    }

    #[test]
    fn reads_what_clients_send() {
        let all = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_CONNECT_WITH_DB | CLIENT_PLUGIN_AUTH;
        let answer = response(all, b"root@sys\0\x03abcoceanbase\0mysql_native_password\0");
        let credentials = read_credentials(&answer, all).expect("a credentials");
        assert_eq!(credentials.user, "root@sys");
        assert_eq!(&credentials.proof[..], b"abc");
        assert_eq!(credentials.database.as_deref(), Some("oceanbase"));
        assert_eq!(credentials.plugin.as_deref(), Some(&b"mysql_native_password"[..]));
        let old = CLIENT_PROTOCOL_41;
        let credentials = read_credentials(&response(old, b"root\0\0"), old).expect("a credentials");
        assert!(credentials.proof.is_empty() && credentials.plugin.is_none() && credentials.database.is_none());
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        let all = CLIENT_PROTOCOL_41 | CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;
        let whole = response(all, b"root\0\x14aaaaaaaaaaaaaaaaaaaa");
        for end in 0..whole.len() {
            assert!(read_credentials(&whole.slice(..end), all).is_err(), "{end}");
        }
        assert!(read_credentials(&whole, all).is_ok());
    }
}
