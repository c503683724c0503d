//! `heapql serve`: SQL about every recorded process of this host, until it is stopped.
//!
//! It starts no program and records none: processes record themselves, through the environment that `env` prints or through `run`.
//! Parameters, history and the members of its cluster are kept in its data directory.

use std::path::PathBuf;
use std::process::ExitCode;

use heapql_ledger::Sampling;

use crate::banner;
use crate::cli::ServeArguments;
use crate::cluster::{self, ClusterListener};
use crate::config;
use crate::error::Error;
use crate::listen::IfTaken;
use crate::paths;
use crate::service::{self, Service, ServiceOptions};
use crate::signals::{self, Signals};

const PARAMETER_FILE: &str = "parameters.toml";
const CLUSTER_FILE: &str = "cluster.json";
const HISTORY_FOLDER: &str = "history";

pub(crate) fn run(arguments: ServeArguments) -> Result<ExitCode, Error> {
    let arguments = config::complete(arguments)?;
    cluster::check(&arguments.listen.cluster)?;
    if arguments.listen.cluster.cluster.is_some() {
        ClusterListener::raise_descriptor_limit();
    }
    let root = paths::ledger_root(arguments.dir.as_deref())?;
    let data_dir = arguments.data_dir.clone().map_or_else(default_data_dir, Ok)?;
    paths::private(&data_dir)?;
    paths::remove_finished_runs(&root);
    let options = ServiceOptions {
        dir: &root,
        listen: &arguments.listen,
        if_taken: IfTaken::Fail,
        initial: Sampling::DEFAULT,
        parameter_file: Some(data_dir.join(PARAMETER_FILE)),
        history_folder: Some(data_dir.join(HISTORY_FOLDER)),
        suspect_folder: Some(paths::suspects_in(&data_dir)),
        cluster_file: Some(data_dir.join(CLUSTER_FILE)),
    };
    service::runtime()?.block_on(async {
        let caught = Signals::catch(&signals::ENDING).and_then(|mut signals| {
            signals.catch_ignored()?;
            Ok(signals)
        });
        let mut signals = caught.map_err(|error| Error::new(format!("cannot catch signals: {error}")))?;
        let service = Service::start(options).await?;
        banner::serving(&service, &root, arguments.dir.is_none());
        signals.ending().await;
        tracing::info!("stopping");
        service.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn default_data_dir() -> Result<PathBuf, Error> {
    paths::state_dir().ok_or_else(|| {
        Error::new("there is no place to keep parameters: neither XDG_STATE_HOME nor HOME is set")
            .hint("name a directory with --data-dir")
    })
}
