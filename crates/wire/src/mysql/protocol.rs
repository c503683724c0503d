//! The numbers of the MySQL protocol that this server uses, under MySQL's names. It has no logic.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>

/// Maximum length of a packet's body. Longer messages are split.
pub(super) const MAX_PACKET: usize = 0xff_ff_ff;

pub(super) const CLIENT_CONNECT_WITH_DB: u32 = 1 << 3;
pub(super) const CLIENT_PROTOCOL_41: u32 = 1 << 9;
pub(super) const CLIENT_SSL: u32 = 1 << 11;
pub(super) const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
pub(super) const CLIENT_MULTI_STATEMENTS: u32 = 1 << 16;
pub(super) const CLIENT_PLUGIN_AUTH: u32 = 1 << 19;
pub(super) const CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA: u32 = 1 << 21;
pub(super) const CLIENT_DEPRECATE_EOF: u32 = 1 << 24;

/// Capabilities of this server. LONG_PASSWORD (1), FOUND_ROWS (2), LONG_FLAG (4), INTERACTIVE (1 << 10),
/// TRANSACTIONS (1 << 13), MULTI_RESULTS (1 << 17), PS_MULTI_RESULTS (1 << 18) and CONNECT_ATTRS (1 << 20) need
/// no code.
pub(super) const SERVER_CAPABILITIES: u32 = 1
    | 2
    | 4
    | CLIENT_CONNECT_WITH_DB
    | CLIENT_PROTOCOL_41
    | (1 << 10)
    | (1 << 13)
    | CLIENT_SECURE_CONNECTION
    | CLIENT_MULTI_STATEMENTS
    | (1 << 17)
    | (1 << 18)
    | CLIENT_PLUGIN_AUTH
    | (1 << 20)
    | CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
    | CLIENT_DEPRECATE_EOF;

pub(super) const SERVER_STATUS_IN_TRANS: u16 = 1;
pub(super) const SERVER_STATUS_AUTOCOMMIT: u16 = 2;
pub(super) const SERVER_MORE_RESULTS_EXISTS: u16 = 8;

pub(super) const UTF8MB4_GENERAL_CI: u16 = 45;
pub(super) const BINARY_CHARSET: u16 = 63;

pub(super) const NOT_NULL_FLAG: u16 = 1;
pub(super) const UNSIGNED_FLAG: u16 = 32;
pub(super) const BINARY_FLAG: u16 = 128;

pub(super) const COM_QUIT: u8 = 0x01;
pub(super) const COM_INIT_DB: u8 = 0x02;
pub(super) const COM_QUERY: u8 = 0x03;
pub(super) const COM_FIELD_LIST: u8 = 0x04;
pub(super) const COM_STATISTICS: u8 = 0x09;
pub(super) const COM_PROCESS_KILL: u8 = 0x0c;
pub(super) const COM_PING: u8 = 0x0e;
pub(super) const COM_CHANGE_USER: u8 = 0x11;
pub(super) const COM_STMT_PREPARE: u8 = 0x16;
pub(super) const COM_STMT_EXECUTE: u8 = 0x17;
pub(super) const COM_STMT_SEND_LONG_DATA: u8 = 0x18;
pub(super) const COM_STMT_CLOSE: u8 = 0x19;
pub(super) const COM_STMT_RESET: u8 = 0x1a;
pub(super) const COM_SET_OPTION: u8 = 0x1b;
pub(super) const COM_RESET_CONNECTION: u8 = 0x1f;

/// Column and parameter types.
pub(super) mod types {
    pub(crate) const DECIMAL: u8 = 0;
    pub(crate) const TINY: u8 = 1;
    pub(crate) const SHORT: u8 = 2;
    pub(crate) const LONG: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const DOUBLE: u8 = 5;
    pub(crate) const NULL: u8 = 6;
    pub(crate) const TIMESTAMP: u8 = 7;
    pub(crate) const LONGLONG: u8 = 8;
    pub(crate) const INT24: u8 = 9;
    pub(crate) const DATE: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const DATETIME: u8 = 12;
    pub(crate) const YEAR: u8 = 13;
    pub(crate) const NEWDECIMAL: u8 = 246;
    pub(crate) const VAR_STRING: u8 = 253;
}
