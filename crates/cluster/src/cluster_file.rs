//! `cluster.json`: keeps the replicated entries across a restart of `serve`, and the versions that are applied on this server.
//!
//! It knows no merge rules (`lww_map`). Only `replicated_config` reads and writes it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use heapql_registry::durable_file;
use heapql_server::{Failure, FailureKind};
use serde::{Deserialize, Serialize};

use crate::lww_map::{LwwMap, Version};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterFile {
    #[serde(rename = "registers")]
    pub(crate) entries: LwwMap,
    /// The applied version of each setting, by name. It keeps a restart from undoing what was set later on this server alone.
    pub(crate) adopted: BTreeMap<String, Version>,
}

/// Returns None when there is no file yet.
pub(crate) fn load(path: &Path) -> Result<Option<ClusterFile>, Failure> {
    let cannot = |why: String| {
        Failure::new(FailureKind::Internal, format!("the cluster file '{}' cannot be used: {why}", path.display()))
            .hint("restore it, or remove it: the server then joins again by --peer")
    };
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| cannot(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(error.to_string())),
    }
}

/// Replaces the file. It is on the disk when this returns.
pub(crate) fn save(path: &Path, file: &ClusterFile) -> Result<(), Failure> {
    let written = serde_json::to_string_pretty(file).map_err(io::Error::from);
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = directory
        .and(written)
        .and_then(|text| durable_file::replace(path, 0o600, |file| file.write_all((text + "\n").as_bytes())));
    written.map(drop).map_err(|error| {
        let what = format!("the cluster file '{}' cannot be written: {error}", path.display());
        Failure::new(FailureKind::Internal, what).hint("nothing was changed")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn example() -> ClusterFile {
        let here = ([127, 0, 0, 1], 2882).into();
        let mut entries = LwwMap::of(here);
        let version = entries.next(here, 7);
        entries.set(&[("p", "1")], Some(here), version);
        ClusterFile { entries, adopted: [("p".to_owned(), version)].into() }
    }

    #[test]
    fn a_file_of_an_earlier_version_is_read_and_written_alike() {
        const TEXT: &str = r#"{
  "registers": {
    "members": [
      {
        "address": "127.0.0.1:2882",
        "version": [
          0,
          "127.0.0.1:2882"
        ],
        "present": true
      }
    ],
    "settings": [
      {
        "name": "p",
        "server": "127.0.0.1:2882",
        "version": [
          7,
          "127.0.0.1:2882"
        ],
        "value": "1"
      }
    ]
  },
  "adopted": {
    "p": [
      7,
      "127.0.0.1:2882"
    ]
  }
}
"#;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cluster.json");
        fs::write(&path, TEXT).expect("written");
        assert_eq!(load(&path).expect("loaded"), Some(example()));
        save(&path, &example()).expect("saved");
        assert_eq!(fs::read_to_string(&path).expect("read"), TEXT);
    }

    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cluster.json");
        assert_eq!(load(&path).expect("nothing yet"), None);
        let file = example();
        save(&path, &file).expect("saved");
        assert_eq!(load(&path).expect("loaded"), Some(file));
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_bad_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cluster.json");
        for text in ["", "{}", "{\"registers\":{\"members\":[],\"settings\":[]},\"adopted\":{},\"more\":1}", "\0"] {
            fs::write(&path, text).expect("written");
            let failure = load(&path).expect_err(text);
            assert!(failure.message.contains("cluster.json"), "{failure}");
        }
    }
}
