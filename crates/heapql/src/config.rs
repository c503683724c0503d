//! `serve --config FILE`: the flags of `serve` as TOML, for units and containers.
//!
//! Keys are the flags' names; a flag on the command line wins. System parameters are not here: ALTER SYSTEM sets them, and the data
//! directory keeps them. Called by `serve`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::{ClusterFlags, ListenAddress, ListenFlags, ServeArguments};
use crate::error::Error;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct ConfigFile {
    mysql: Option<ListenAddress>,
    postgres: Option<ListenAddress>,
    http: Option<ListenAddress>,
    cluster: Option<ListenAddress>,
    peer: Vec<String>,
    cluster_secret_file: Option<PathBuf>,
    cluster_tls_cert: Option<PathBuf>,
    cluster_tls_key: Option<PathBuf>,
    cluster_tls_ca: Option<PathBuf>,
    endpoints: Option<PathBuf>,
    password_file: Option<PathBuf>,
    dir: Option<PathBuf>,
    data_dir: Option<PathBuf>,
}

/// Completes the arguments of `serve` from its configuration file.
pub(crate) fn complete(arguments: ServeArguments) -> Result<ServeArguments, Error> {
    let Some(path) = &arguments.config else {
        return Ok(arguments);
    };
    let config = read(path)?;
    let flags = arguments.listen;
    let cluster = flags.cluster;
    Ok(ServeArguments {
        listen: ListenFlags {
            mysql: flags.mysql.or(config.mysql),
            postgres: flags.postgres.or(config.postgres),
            http: flags.http.or(config.http),
            endpoints: flags.endpoints.or(config.endpoints),
            password_file: flags.password_file.or(config.password_file),
            cluster: ClusterFlags {
                cluster: cluster.cluster.or(config.cluster),
                peer: if cluster.peer.is_empty() { config.peer } else { cluster.peer },
                cluster_secret_file: cluster.cluster_secret_file.or(config.cluster_secret_file),
                cluster_tls_cert: cluster.cluster_tls_cert.or(config.cluster_tls_cert),
                cluster_tls_key: cluster.cluster_tls_key.or(config.cluster_tls_key),
                cluster_tls_ca: cluster.cluster_tls_ca.or(config.cluster_tls_ca),
            },
        },
        dir: arguments.dir.or(config.dir),
        data_dir: arguments.data_dir.or(config.data_dir),
        config: None,
    })
}

fn read(path: &Path) -> Result<ConfigFile, Error> {
    let name = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| Error::usage(format!("cannot read --config '{name}': {error}")))?;
    toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or("", |span| &text[..span.start]);
        let line = before.matches('\n').count() + 1;
        Error::usage(format!("--config '{name}', line {line}: {}", error.message()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(text: &str, listen: ListenFlags) -> Result<ServeArguments, Error> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("written");
        complete(ServeArguments { listen, dir: None, data_dir: None, config: Some(file.path().to_owned()) })
    }

    fn at(address: &str) -> Option<ListenAddress> {
        Some(ListenAddress::At(address.to_owned()))
    }

    #[test]
    fn a_flag_wins() {
        let text = "mysql = '127.0.0.1:1'\npostgres = 'off'\npassword-file = '/p'\ndata-dir = '/d'\n";
        let flags = ListenFlags { mysql: at("127.0.0.1:2"), ..ListenFlags::default() };
        let arguments = completed(text, flags).expect("completed");
        assert_eq!(arguments.listen.mysql, at("127.0.0.1:2"));
        assert_eq!(arguments.listen.postgres, Some(ListenAddress::Off));
        assert_eq!(arguments.listen.password_file, Some(PathBuf::from("/p")));
        assert_eq!(arguments.data_dir, Some(PathBuf::from("/d")));
    }

    #[test]
    fn a_cluster_is_configured_alike() {
        let text = "cluster = '127.0.0.1:2882'\npeer = ['a:1', 'b:2']\ncluster-secret-file = '/s'\n";
        let cluster = completed(text, ListenFlags::default()).expect("completed").listen.cluster;
        assert_eq!((cluster.cluster, cluster.peer), (at("127.0.0.1:2882"), vec!["a:1".to_owned(), "b:2".to_owned()]));
        assert_eq!(cluster.cluster_secret_file, Some(PathBuf::from("/s")));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_accepted_ones() {
        let error = completed("\nmysq = 'off'\n", ListenFlags::default()).expect_err("refused").to_string();
        for word in ["line 2", "mysq", "password-file", "data-dir"] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_bad_address_is_an_error() {
        let error = completed("mysql = '2881'", ListenFlags::default()).expect_err("refused").to_string();
        assert!(error.contains("host:port"), "{error}");
    }
}
