//! The file that keeps parameters across a restart of `serve`. Only `parameters` reads and writes it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use heapql_ledger::{DEFAULT_DEPTH, Intervals, Sampling};
use heapql_registry::durable_file;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureKind, Warning};
use crate::parameters::spec::{self, DEPTH, MAX, MIN, Setting, Spec};

/// The settings that were made, and the pair of intervals that is in force while min is greater than max.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredParameters {
    /// Each by its parameter's name.
    settings: BTreeMap<&'static str, Setting>,
    in_force: Intervals,
}

impl StoredParameters {
    pub(super) fn new(sampling: Sampling) -> StoredParameters {
        let Sampling { intervals, depth } = sampling;
        let mut stored = StoredParameters { settings: BTreeMap::new(), in_force: intervals };
        for (spec, number) in [(&MIN, intervals.min), (&MAX, intervals.max), (&DEPTH, depth as u32)] {
            // A sampling is within the ranges; beyond them the default holds.
            Setting::new(spec, &number.to_string()).into_iter().for_each(|setting| stored.set(setting));
        }
        stored
    }

    pub(super) fn sampling(&self) -> Sampling {
        Sampling { intervals: self.in_force, depth: self.number(&DEPTH) as usize }
    }

    pub(super) fn value(&self, spec: &Spec) -> &str {
        self.settings.get(spec.name).map_or(spec.default_value, Setting::value)
    }

    pub(super) fn number(&self, spec: &Spec) -> u32 {
        self.value(spec).parse().unwrap_or_default()
    }

    pub(super) fn set(&mut self, setting: Setting) {
        self.settings.insert(setting.spec().name, setting);
    }

    /// Puts the pair in force if it is consistent.
    pub(super) fn settle(&mut self) {
        let (min, max) = (self.number(&MIN), self.number(&MAX));
        if min <= max {
            self.in_force = Intervals { min, max };
        }
    }

    pub(super) fn inconsistency(&self) -> Option<Warning> {
        let (min, max, in_force) = (self.number(&MIN), self.number(&MAX), self.in_force);
        (min > max).then(|| {
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
    let setting = |spec, value: &str| Setting::new(spec, value).map_err(|failure| bad(path, &failure.message));
    let Pair { min, max } = file.in_force;
    if min > max {
        return Err(bad(path, "in_force.min is greater than in_force.max"));
    }
    setting(&MIN, &min.to_string())?;
    setting(&MAX, &max.to_string())?;
    let mut stored = StoredParameters { settings: BTreeMap::new(), in_force: Intervals { min, max } };
    stored.set(setting(&MIN, &file._min_malloc_sample_interval.to_string())?);
    stored.set(setting(&MAX, &file._max_malloc_sample_interval.to_string())?);
    stored.set(setting(&DEPTH, &file._malloc_sample_depth.to_string())?);
    for (name, value) in &file.others {
        let spec = spec::known(name).ok_or_else(|| bad(path, &format!("'{name}' is no parameter")))?;
        stored.set(setting(spec, value)?);
    }
    Ok(Some(stored))
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
    let others = stored.settings.values().filter(|setting| {
        // These have fields of their own.
        ![MIN.name, MAX.name, DEPTH.name].contains(&setting.spec().name)
    });
    let file = File {
        _min_malloc_sample_interval: stored.number(&MIN),
        _max_malloc_sample_interval: stored.number(&MAX),
        _malloc_sample_depth: stored.number(&DEPTH),
        in_force: Pair { min: stored.in_force.min, max: stored.in_force.max },
        others: others.map(|setting| (setting.spec().name.to_owned(), setting.value().to_owned())).collect(),
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

    fn example() -> StoredParameters {
        let mut stored = StoredParameters::new(Sampling { intervals: Intervals { min: 16, max: 256 }, depth: 64 });
        stored.set(Setting::new(&MIN, "10000").expect("in the range"));
        stored.set(Setting::new(&spec::HISTORY_HOURS, "12").expect("in the range"));
        stored
    }

    /// The bytes are those of the first version that kept parameters other than the sampling's.
    #[test]
    fn a_file_of_an_earlier_version_is_read_and_written_alike() {
        const TEXT: &str = "# kept by heapql; ALTER SYSTEM SET changes it\n_min_malloc_sample_interval = 10000\n\
            _max_malloc_sample_interval = 256\n_malloc_sample_depth = 64\n\n[in_force]\nmin = 16\nmax = 256\n\n\
            [others]\n_history_keep_hours = \"12\"\n";
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parameters.toml");
        fs::write(&path, TEXT).expect("written");
        assert_eq!(load(&path).expect("loaded"), Some(example()));
        save(&path, &example()).expect("saved");
        assert_eq!(fs::read_to_string(&path).expect("read"), TEXT);
    }

    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/parameters.toml");
        let stored = example();
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
