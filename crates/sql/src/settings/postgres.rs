//! PostgreSQL's settings, as far as clients and drivers ask for them: psql, JDBC, psycopg, Grafana, DBeaver.

use std::collections::BTreeMap;

use heapql_server::version::POSTGRES_VERSION;

const SETTINGS: &[(&str, &str)] = &[
    ("application_name", ""),
    ("backend_flush_after", "0"),
    ("bytea_output", "hex"),
    ("check_function_bodies", "on"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    (super::CLUSTER_LOCAL, "off"),
    (super::CLUSTER_STRICT, "off"),
    ("datestyle", "ISO, MDY"),
    ("default_tablespace", ""),
    ("default_transaction_deferrable", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "on"),
    ("escape_string_warning", "on"),
    ("extra_float_digits", "1"),
    ("geqo", "on"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("jit", "off"),
    ("lc_collate", "C.UTF-8"),
    ("lc_ctype", "C.UTF-8"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("password_encryption", "scram-sha-256"),
    ("quote_all_identifiers", "off"),
    ("row_security", "on"),
    ("search_path", "oceanbase, heapql"),
    ("server_encoding", "UTF8"),
    ("server_version_num", "150000"),
    ("ssl", "off"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("synchronous_commit", "on"),
    ("synchronize_seqscans", "on"),
    ("timezone", "UTC"),
    ("transaction_deferrable", "off"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
    ("transaction_timeout", "0"),
    ("wal_level", "minimal"),
    ("work_mem", "4096"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
];

pub(super) fn defaults(user: &str) -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<_, _> = SETTINGS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    all.insert("server_version", POSTGRES_VERSION.to_owned());
    all.insert("session_authorization", user.to_owned());
    all.insert("is_superuser", "on".to_owned());
    all
}
