//! MySQL's variables, as far as clients and drivers ask for them: the mysql client, Connector/J's one long SELECT,
//! mysqldump, mysql_async, PyMySQL, DBeaver, Grafana.

use std::collections::BTreeMap;

use heapql_server::server::Server;
use heapql_server::version::VERSION;

pub(super) const FIXED: [&str; 12] = [
    "hostname",
    "port",
    "socket",
    "license",
    "lower_case_table_names",
    "protocol_version",
    "have_ssl",
    "have_openssl",
    "have_query_cache",
    "performance_schema",
    "read_only",
    "system_time_zone",
];

/// Read as 0 or 1, listed as OFF or ON.
pub(super) const SWITCHES: [&str; 23] = [
    "autocommit",
    super::CLUSTER_LOCAL,
    super::CLUSTER_STRICT,
    "big_tables",
    "explicit_defaults_for_timestamp",
    "foreign_key_checks",
    "local_infile",
    "log_bin",
    "performance_schema",
    "profiling",
    "read_only",
    "session_track_schema",
    "show_old_temporals",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_notes",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_warnings",
    "super_read_only",
    "transaction_read_only",
    "tx_read_only",
    "unique_checks",
];

/// Name and value; the ones that depend on the server follow in `defaults`.
const VARIABLES: &[(&str, &str)] = &[
    ("auto_increment_increment", "1"),
    ("auto_increment_offset", "1"),
    ("autocommit", "1"),
    ("big_tables", "0"),
    ("bulk_insert_buffer_size", "8388608"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_filesystem", "binary"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("character_set_system", "utf8mb3"),
    (super::CLUSTER_LOCAL, "0"),
    (super::CLUSTER_STRICT, "0"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("completion_type", "NO_CHAIN"),
    ("connect_timeout", "10"),
    ("default_storage_engine", "HEAPQL"),
    ("default_tmp_storage_engine", "HEAPQL"),
    ("default_week_format", "0"),
    ("div_precision_increment", "4"),
    ("event_scheduler", "OFF"),
    ("explicit_defaults_for_timestamp", "1"),
    ("foreign_key_checks", "1"),
    ("group_concat_max_len", "1048576"),
    ("gtid_mode", "OFF"),
    ("have_openssl", "DISABLED"),
    ("have_query_cache", "NO"),
    ("have_ssl", "DISABLED"),
    ("identity", "0"),
    ("init_connect", ""),
    ("innodb_lock_wait_timeout", "50"),
    ("interactive_timeout", "28800"),
    ("last_insert_id", "0"),
    ("lc_time_names", "en_US"),
    ("license", "Apache-2.0"),
    ("local_infile", "0"),
    ("lock_wait_timeout", "31536000"),
    ("log_bin", "0"),
    ("lower_case_table_names", "1"),
    ("max_allowed_packet", "16777216"),
    ("max_connections", "256"),
    ("max_execution_time", "0"),
    ("max_join_size", "18446744073709551615"),
    ("net_buffer_length", "16384"),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "60"),
    ("ob_query_timeout", "0"),
    ("ob_trx_timeout", "0"),
    ("optimizer_switch", ""),
    ("performance_schema", "0"),
    ("profiling", "0"),
    ("protocol_version", "10"),
    ("query_cache_size", "0"),
    ("query_cache_type", "OFF"),
    ("read_only", "1"),
    ("resultset_metadata", "FULL"),
    ("session_track_schema", "1"),
    ("session_track_system_variables", ""),
    ("show_old_temporals", "0"),
    ("socket", ""),
    ("sql_auto_is_null", "0"),
    ("sql_big_selects", "1"),
    ("sql_mode", "STRICT_ALL_TABLES"),
    ("sql_notes", "1"),
    ("sql_quote_show_create", "1"),
    ("sql_safe_updates", "0"),
    ("sql_select_limit", "18446744073709551615"),
    ("sql_warnings", "0"),
    ("super_read_only", "1"),
    ("system_time_zone", "UTC"),
    ("time_zone", "+00:00"),
    ("transaction_isolation", "READ-COMMITTED"),
    ("transaction_read_only", "1"),
    ("tx_isolation", "READ-COMMITTED"),
    ("tx_read_only", "1"),
    ("unique_checks", "1"),
    ("wait_timeout", "28800"),
];

pub(super) fn defaults(server: &Server) -> BTreeMap<&'static str, String> {
    let mut all: BTreeMap<_, _> = VARIABLES.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    all.insert("version", VERSION.to_owned());
    all.insert("version_comment", format!("HeapQL {}, OceanBase compatible", env!("CARGO_PKG_VERSION")));
    all.insert("version_compile_machine", std::env::consts::ARCH.to_owned());
    all.insert("version_compile_os", std::env::consts::OS.to_owned());
    all.insert("hostname", server.svr_ip().to_owned());
    all.insert("port", server.sql_port().to_string());
    all
}
