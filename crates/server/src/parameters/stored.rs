//! The file that keeps parameters across a restart of `serve`. Only `parameters` reads and writes it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use heapql_ledger::{DEFAULT_DEPTH, Intervals, MAX_DEPTH, MIN_DEPTH, Sampling};
use heapql_registry::durable_file;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind, Warning};
use crate::parameters::Change;
use crate::parameters::spec::{self, DEPTH, MAX, MIN, Spec};

/// The stored values, and the pair that is in force while they are not consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredParameters {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) in_force: Intervals,
    pub(super) depth: u32,
    /// Parameters that do not steer sampling, once they were set.
    pub(super) others: BTreeMap<String, String>,
}

impl StoredParameters {
    pub(super) fn new(sampling: Sampling) -> StoredParameters {
        let Sampling { intervals, depth } = sampling;
        StoredParameters {
            min: intervals.min,
            max: intervals.max,
            in_force: intervals,
            depth: depth as u32,
            others: BTreeMap::new(),
        }
    }

    pub(super) fn sampling(&self) -> Sampling {
        Sampling { intervals: self.in_force, depth: self.depth as usize }
    }
}

impl StoredParameters {
    pub(super) fn value(&self, spec: &Spec) -> String {
        match spec.name {
            DEPTH => self.depth.to_string(),
            MIN => self.min.to_string(),
            MAX => self.max.to_string(),
            name => self.others.get(name).map_or(spec.default_value, String::as_str).to_owned(),
        }
    }

    /// The value has been checked.
    pub(super) fn set(&mut self, Change { name, value, .. }: &Change) {
        let place = match *name {
            DEPTH => &mut self.depth,
            MIN => &mut self.min,
            MAX => &mut self.max,
            name => {
                self.others.insert(name.to_owned(), value.clone());
                return;
            }
        };
        *place = value.parse().unwrap_or(*place);
    }

    pub(super) fn settle(&mut self) {
        if self.min <= self.max {
            self.in_force = Intervals { min: self.min, max: self.max };
        }
    }

    pub(super) fn inconsistency(&self) -> Option<Warning> {
        (self.min > self.max).then(|| {
            let StoredParameters { min, max, in_force, .. } = self;
            let message = format!(
                "{MIN} = {min} is greater than {MAX} = {max}: the interval in force stays {}..{} until min <= max",
                in_force.min, in_force.max
            );
            Warning::new(FailureKind::InvalidParameter, message)
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    _min_malloc_sample_interval: u32,
    _max_malloc_sample_interval: u32,
    /// Absent from files of versions before it.
    #[serde(default = "default_depth")]
    _malloc_sample_depth: u32,
    in_force: Pair,
    /// Absent from files of versions before it.
    #[serde(default)]
    others: BTreeMap<String, String>,
}

fn default_depth() -> u32 {
    DEFAULT_DEPTH as u32
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    min: u32,
    max: u32,
}

/// `None` when there is no file yet.
pub(super) fn load(path: &Path) -> Result<Option<StoredParameters>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(bad(path, &error.to_string())),
    };
    let file: File = toml::from_str(&text).map_err(|error| bad(path, error.message()))?;
    let values =
        [file._min_malloc_sample_interval, file._max_malloc_sample_interval, file.in_force.min, file.in_force.max];
    let (least, most) = (Intervals::LEAST, Intervals::MOST);
    if let Some(value) = values.iter().find(|value| !(least..=most).contains(*value)) {
        return Err(bad(path, &format!("{value} is not in [{least}, {most}]")));
    }
    let depth = file._malloc_sample_depth;
    if !(MIN_DEPTH..=MAX_DEPTH).contains(&(depth as usize)) {
        return Err(bad(path, &format!("{depth} is not in [{MIN_DEPTH}, {MAX_DEPTH}]")));
    }
    let [min, max, ..] = values;
    if file.in_force.min > file.in_force.max {
        return Err(bad(path, "in_force.min is greater than in_force.max"));
    }
    for (name, value) in &file.others {
        let spec = spec::known(name).ok_or_else(|| bad(path, &format!("'{name}' is no parameter")))?;
        spec::checked(spec, value).map_err(|failure| bad(path, &failure.message))?;
    }
    let in_force = Intervals { min: file.in_force.min, max: file.in_force.max };
    Ok(Some(StoredParameters { min, max, in_force, depth, others: file.others }))
}

fn bad(path: &Path, why: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        format!("the parameter file '{}' cannot be used: {why}", path.display()),
    )
    .hint("correct it, or remove it to start from the defaults")
}

/// Whole or not at all: a new file takes the old one's place, and both reach the disk.
pub(super) fn save(path: &Path, stored: &StoredParameters) -> Result<(), Failure> {
    let file = File {
        _min_malloc_sample_interval: stored.min,
        _max_malloc_sample_interval: stored.max,
        _malloc_sample_depth: stored.depth,
        in_force: Pair { min: stored.in_force.min, max: stored.in_force.max },
        others: stored.others.clone(),
    };
    let text = toml::to_string(&file).map_err(|error| cannot(path, &error.to_string()))?;
    let text = format!("# kept by heapql; ALTER SYSTEM SET changes it\n{text}");
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = directory.and_then(|()| durable_file::replace(path, 0o600, |file| file.write_all(text.as_bytes())));
    written.map(drop).map_err(|error| cannot(path, &error.to_string()))
}

fn cannot(path: &Path, why: &str) -> Failure {
    Failure::new(FailureKind::Internal, format!("the parameter file '{}' cannot be written: {why}", path.display()))
        .hint("nothing was changed; SCOPE = MEMORY changes without writing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/parameters.toml");
        let others = BTreeMap::from([(spec::HISTORY_HOURS.to_owned(), "12".to_owned())]);
        let in_force = Intervals { min: 16, max: 256 };
        let stored = StoredParameters { min: 10_000, max: 256, in_force, depth: 64, others };
        save(&path, &stored).expect("saved");
        assert_eq!(load(&path).expect("loaded"), Some(stored));
        let left: Vec<_> = fs::read_dir(path.parent().expect("a parent")).expect("listed").collect();
        assert_eq!(left.len(), 1, "no file is left behind");
    }

    #[test]
    fn a_bad_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.toml");
        let bad =
            ["", "x", "_min_malloc_sample_interval = 0\n_max_malloc_sample_interval = 1\nin_force = {min=1,max=1}"];
        for text in bad {
            fs::write(&path, text).expect("written");
            let failure = load(&path).expect_err(text);
            assert!(failure.message.contains("p.toml"), "{failure}");
        }
    }
}
