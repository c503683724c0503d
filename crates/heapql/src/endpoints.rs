//! The addresses that a server listens on, for the banner and for the file of `--endpoints`, which scripts read.
//!
//! It binds nothing (`listen`). Called by `service`.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use heapql_registry::durable_file;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// One field per listener that exists, and the server's process id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mysql: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<SocketAddr>,
    /// The address by which other servers reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<SocketAddr>,
    pub(crate) pid: u32,
}

/// The file of `--endpoints`. It exists exactly while the server is ready.
pub(crate) struct EndpointsFile {
    path: PathBuf,
    contents: String,
}

impl EndpointsFile {
    /// Removes a file that an earlier server left, so that scripts do not take it for this server's.
    pub(crate) fn claim(path: &Path) -> Result<EndpointsFile, Error> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot(path, &error)),
            _ => Ok(EndpointsFile { path: path.to_owned(), contents: String::new() }),
        }
    }

    /// Writes the file in one step.
    pub(crate) fn write(&mut self, endpoints: &Endpoints) -> Result<(), Error> {
        let json = serde_json::to_string(endpoints).map_err(|error| cannot(&self.path, &error.into()))?;
        self.contents = json + "\n";
        let written = durable_file::replace(&self.path, 0o666, |file| file.write_all(self.contents.as_bytes()));
        written.map(drop).map_err(|error| cannot(&self.path, &error))
    }
}

impl Drop for EndpointsFile {
    fn drop(&mut self) {
        // Another server with the same flag may have written its own over it.
        if fs::read_to_string(&self.path).is_ok_and(|contents| contents == self.contents) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn cannot(path: &Path, error: &io::Error) -> Error {
    Error::new(format!("cannot write --endpoints '{}': {error}", path.display()))
        .hint("name a file in a directory that exists and that you may write")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_listeners_are_left_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("endpoints.json");
        fs::write(&path, "stale").expect("written");
        let mut file = EndpointsFile::claim(&path).expect("claimed");
        assert!(!path.exists(), "the stale one is gone at once");
        let endpoints = Endpoints { mysql: Some(([127, 0, 0, 1], 2881).into()), pid: 7, ..Endpoints::default() };
        file.write(&endpoints).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "{\"mysql\":\"127.0.0.1:2881\",\"pid\":7}\n");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn the_file_of_another_server_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("endpoints.json");
        let mut file = EndpointsFile::claim(&path).expect("claimed");
        file.write(&Endpoints { pid: 7, ..Endpoints::default() }).expect("written");
        fs::write(&path, "another").expect("written");
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_place_that_does_not_exist_is_named() {
        let mut file = EndpointsFile::claim(Path::new("/nonexistent/e.json")).expect("nothing to remove");
        let endpoints = Endpoints { pid: 1, ..Endpoints::default() };
        let error = file.write(&endpoints).expect_err("cannot");
        assert!(error.to_string().contains("--endpoints '/nonexistent/e.json'"), "{error}");
    }
}
