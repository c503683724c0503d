//! Reads the credentials of COM_CHANGE_USER. The check is `login::admit`.

use bytes::Bytes;

use super::login::Credentials;
use super::protocol::{CLIENT_PLUGIN_AUTH, CLIENT_SECURE_CONNECTION};
use crate::cursor::{DecodeError, MessageCursor};

/// Reads the body after the command byte.
pub(super) fn read_credentials(body: &Bytes, capabilities: u32) -> Result<Credentials, DecodeError> {
    let mut cursor = MessageCursor::new(body);
    let user = cursor.text("user name")?;
    let proof = if capabilities & CLIENT_SECURE_CONNECTION != 0 {
        let length = cursor.u8("password proof")?;
        cursor.take(usize::from(length), "password proof")?
    } else {
        cursor.until_zero("password proof")?
    };
    let database = Some(cursor.text("database name")?).filter(|name| !name.is_empty());
    let plugin = if cursor.is_empty() {
        None
    } else {
        cursor.u16_le("character set")?;
        if capabilities & CLIENT_PLUGIN_AUTH != 0 && !cursor.is_empty() {
            Some(body.slice_ref(cursor.until_zero("plugin name")?))
        } else {
            None
        }
    };
    Ok(Credentials { user, database, plugin, proof: body.slice_ref(proof) })
}
