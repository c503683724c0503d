//! The system parameters: what is stored, which sampling is in force, and how both change.
//!
//! The intervals' names, ranges, defaults and the rule that both statements of the seed's order succeed (min=10000 while max=256) are
//! OceanBase's. The stored values change at once; the pair in force changes when min <= max holds again.

mod value;

use std::ops::RangeInclusive;
use std::path::PathBuf;

use heapql_ledger::{Intervals, MAX_DEPTH, MIN_DEPTH, Sampling};
use parking_lot::Mutex;

use crate::cluster::Setting;
use crate::failure::{Failure, FailureKind, Warning};
use crate::names;
use crate::parameter_file::{self, Stored};

pub(crate) use value::checked;

pub const ZONE: &str = "zone1";

/// Static facts of a parameter.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default_value: &'static str,
    info: &'static str,
}

/// What its values are.
#[derive(Debug)]
pub(crate) enum Kind {
    Int(RangeInclusive<u32>),
    /// And what is wrong with a text.
    Text(fn(&str) -> Result<(), String>),
}

pub(crate) const APP_FRAME_RULES: &str = "_app_frame_rules";
pub(crate) const CLUSTER_TIMEOUT: &str = "_cluster_timeout";
pub(crate) const HISTORY_INTERVAL: &str = "_history_snapshot_interval";
pub(crate) const HISTORY_HOURS: &str = "_history_keep_hours";
pub(crate) const HISTORY_MEMORY: &str = "_history_memory_limit";
pub(crate) const DEPTH: &str = "_malloc_sample_depth";
pub(crate) const MIN: &str = "_min_malloc_sample_interval";
pub(crate) const MAX: &str = "_max_malloc_sample_interval";

const INTERVAL: RangeInclusive<u32> = Intervals::LEAST..=Intervals::MOST;

static SPECS: [Spec; 8] = [
    Spec {
        name: APP_FRAME_RULES,
        kind: Kind::Text(names::check_rules),
        default_value: "",
        info: "rules before the built-in ones that say whose code a frame is, such as app:/opt/vendor/*; library:boost::*",
    },
    Spec {
        name: CLUSTER_TIMEOUT,
        kind: Kind::Int(100..=600_000),
        default_value: "3000",
        info: "the milliseconds for which a statement waits for other servers. Range: [100, 600000] in integer",
    },
    Spec {
        name: HISTORY_HOURS,
        kind: Kind::Int(1..=8760),
        default_value: "168",
        info: "the hours for which snapshots of all callsites are kept. Range: [1, 8760] in integer",
    },
    Spec {
        name: HISTORY_MEMORY,
        kind: Kind::Int(1..=4096),
        default_value: "64",
        info: "the memory that snapshots may take, in MiB. Range: [1, 4096] in integer",
    },
    Spec {
        name: HISTORY_INTERVAL,
        kind: Kind::Int(1..=3600),
        default_value: "10",
        info: "the seconds between two snapshots of all callsites. Range: [1, 3600] in integer",
    },
    Spec {
        name: DEPTH,
        kind: Kind::Int(MIN_DEPTH as u32..=MAX_DEPTH as u32),
        default_value: "32",
        info: "the max frames kept of a sample's stack. Range: [16, 128] in integer",
    },
    Spec {
        name: MAX,
        kind: Kind::Int(INTERVAL),
        default_value: "256",
        info: "the max malloc times between two samples. Range: [1, 10000] in integer",
    },
    Spec {
        name: MIN,
        kind: Kind::Int(INTERVAL),
        default_value: "16",
        info: "the min malloc times between two samples. Range: [1, 10000] in integer",
    },
];

/// One line of SHOW PARAMETERS, without what is the same for all.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) data_type: &'static str,
    pub(crate) value: String,
    pub(crate) info: &'static str,
    pub(crate) default_value: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Memory,
    File,
    Both,
}

/// One checked item of ALTER SYSTEM SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: &'static str,
    /// Numbers are decimal.
    pub(crate) value: String,
    pub(crate) reach: Reach,
}

pub(crate) fn all() -> &'static [Spec] {
    &SPECS
}

/// A name that exists, in any case.
pub(crate) fn known(name: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|spec| spec.name.eq_ignore_ascii_case(name))
}

/// What another server has checked, as changes of this one. A name or a value that is not known here is a warning.
pub(crate) fn adopted(settings: &[Setting]) -> (Vec<Change>, Vec<Warning>) {
    let (mut changes, mut warnings) = (Vec::new(), Vec::new());
    for Setting { name, value } in settings {
        let checked = known(name).map(|spec| checked(spec, value).map(|value| (spec.name, value)));
        match checked {
            Some(Ok((name, value))) => changes.push(Change { name, value, reach: Reach::Both }),
            Some(Err(failure)) => warnings.push(Warning::new(failure.kind, failure.message)),
            None => {
                let message = format!("parameter '{name}' is not known to this version and was left out");
                warnings.push(Warning::new(FailureKind::UnknownParameter, message));
            }
        }
    }
    (changes, warnings)
}

pub(crate) struct Parameters {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    memory: Stored,
    on_disk: Stored,
}

impl Parameters {
    /// What the file says, else `initial`. A file that cannot be used is an error that names it.
    pub(crate) fn load(file: Option<PathBuf>, initial: Sampling) -> Result<Parameters, Failure> {
        let kept = match &file {
            Some(path) => parameter_file::load(path)?,
            None => None,
        };
        let memory = kept.unwrap_or_else(|| Stored::new(initial));
        Ok(Parameters { file, state: Mutex::new(State { on_disk: memory.clone(), memory }) })
    }

    /// With the last consistent pair.
    pub(crate) fn in_force(&self) -> Sampling {
        self.state.lock().memory.sampling()
    }

    /// In force of a parameter that does not steer sampling.
    pub(crate) fn text(&self, name: &'static str) -> String {
        known(name).map(|spec| self.state.lock().memory.value(spec)).unwrap_or_default()
    }

    pub(crate) fn number(&self, name: &'static str) -> u32 {
        self.text(name).parse().unwrap_or_default()
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        let state = self.state.lock();
        let line = |spec: &Spec| Line {
            name: spec.name,
            data_type: match spec.kind {
                Kind::Int(_) => "INT",
                Kind::Text(_) => "STR",
            },
            value: state.memory.value(spec),
            info: spec.info,
            default_value: spec.default_value,
        };
        SPECS.iter().map(line).collect()
    }

    /// Applies checked changes: to disk first, so that nothing changes when that fails. `apply` gets what is in force
    /// and runs under the lock, so that two clients cannot apply in the wrong order.
    pub(crate) fn change(
        &self,
        changes: &[Change],
        apply: impl FnOnce(Sampling) -> Vec<Warning>,
    ) -> Result<Vec<Warning>, Failure> {
        let mut state = self.state.lock();
        let next = state.after(changes);
        if next.on_disk != state.on_disk {
            self.keep(&next.on_disk, changes)?;
        }
        *state = next;
        let mut warnings: Vec<_> = state.memory.inconsistency().into_iter().collect();
        if changes.iter().any(|change| change.reach != Reach::File) {
            warnings.extend(apply(state.memory.sampling()));
        }
        let waiting = changes.iter().filter(|change| change.reach == Reach::File);
        warnings.extend(waiting.map(|change| {
            let message =
                format!("{} = {} is stored and takes effect when the server restarts", change.name, change.value);
            Warning::new(FailureKind::InvalidParameter, message)
        }));
        Ok(warnings)
    }

    fn keep(&self, stored: &Stored, changes: &[Change]) -> Result<(), Failure> {
        match &self.file {
            Some(path) => parameter_file::save(path, stored),
            None if changes.iter().any(|change| change.reach == Reach::File) => Err(Failure::new(
                FailureKind::Unsupported,
                "SCOPE = SPFILE needs a parameter file, and this server has none",
            )
            .hint("only `heapql serve` keeps parameters; use SCOPE = MEMORY")),
            None => Ok(()),
        }
    }
}

impl State {
    fn after(&self, changes: &[Change]) -> State {
        let mut next = self.clone();
        for change in changes {
            if change.reach != Reach::File {
                next.memory.set(change);
            }
            if change.reach != Reach::Memory {
                next.on_disk.set(change);
            }
        }
        // A list is applied as a whole: the pair in between never comes into force.
        next.memory.settle();
        next.on_disk.settle();
        next
    }
}

impl Stored {
    fn value(&self, spec: &Spec) -> String {
        match spec.name {
            DEPTH => self.depth.to_string(),
            MIN => self.min.to_string(),
            MAX => self.max.to_string(),
            name => self.others.get(name).map_or(spec.default_value, String::as_str).to_owned(),
        }
    }

    /// The value has been checked.
    fn set(&mut self, Change { name, value, .. }: &Change) {
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

    fn settle(&mut self) {
        if self.min <= self.max {
            self.in_force = Intervals { min: self.min, max: self.max };
        }
    }

    fn inconsistency(&self) -> Option<Warning> {
        (self.min > self.max).then(|| {
            let Stored { min, max, in_force, .. } = self;
            let message = format!(
                "{MIN} = {min} is greater than {MAX} = {max}: the interval in force stays {}..{} until min <= max",
                in_force.min, in_force.max
            );
            Warning::new(FailureKind::InvalidParameter, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: Intervals = Intervals { min: 16, max: 256 };

    fn set(parameters: &Parameters, name: &'static str, value: u32) -> (Intervals, Vec<Warning>) {
        let mut applied = None;
        let change = Change { name, value: value.to_string(), reach: Reach::Both };
        let warnings = parameters.change(&[change], |pair| {
            applied = Some(pair.intervals);
            Vec::new()
        });
        (applied.expect("applied"), warnings.expect("accepted"))
    }

    #[test]
    fn the_seeds_six_statements() {
        let parameters = Parameters::load(None, Sampling::DEFAULT).expect("no file");
        let pair = |min, max| Intervals { min, max };
        let steps = [
            (MIN, 10_000, NORMAL, true),
            (MAX, 10_000, pair(10_000, 10_000), false),
            (MIN, 1, pair(1, 10_000), false),
            (MAX, 1, pair(1, 1), false),
            (MIN, 16, pair(1, 1), true),
            (MAX, 256, NORMAL, false),
        ];
        for (name, value, in_force, warned) in steps {
            let (applied, warnings) = set(&parameters, name, value);
            assert_eq!(applied, in_force, "{name} = {value}");
            assert_eq!(!warnings.is_empty(), warned, "{name} = {value}");
        }
    }

    #[test]
    fn the_warning_names_values_and_pair() {
        let parameters = Parameters::load(None, Sampling::DEFAULT).expect("no file");
        let (_, warnings) = set(&parameters, MIN, 10_000);
        for part in ["10000", "256", "16..256", MIN, MAX] {
            assert!(warnings[0].message.contains(part), "{part} in {}", warnings[0].message);
        }
    }

    #[test]
    fn kept_across_a_restart_even_when_inconsistent() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parameters.toml");
        let parameters = Parameters::load(Some(path.clone()), Sampling::DEFAULT).expect("fresh");
        set(&parameters, MIN, 10_000);
        set(&parameters, DEPTH, 64);
        set(&parameters, HISTORY_HOURS, 24);
        let sampling = Sampling { intervals: Intervals { min: 3, max: 4 }, depth: 20 };
        let again = Parameters::load(Some(path), sampling).expect("loads");
        assert_eq!(again.in_force(), Sampling { intervals: NORMAL, depth: 64 });
        assert_eq!(again.text(MIN), "10000");
        assert_eq!(again.number(HISTORY_HOURS), 24);
        assert_eq!(again.number(HISTORY_INTERVAL), 10);
    }

    #[test]
    fn memory_is_not_kept_and_spfile_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parameters.toml");
        let parameters = Parameters::load(Some(path.clone()), Sampling::DEFAULT).expect("fresh");
        let change = |name, value: u32, reach| Change { name, value: value.to_string(), reach };
        parameters.change(&[change(MIN, 5, Reach::Memory)], |_| Vec::new()).expect("memory");
        assert!(!path.exists());
        let warnings = parameters.change(&[change(MAX, 99, Reach::File)], |_| panic!("applied")).expect("file");
        assert!(warnings[0].message.contains("restart"));
        assert_eq!(parameters.in_force().intervals, Intervals { min: 5, max: 256 });
        let again = Parameters::load(Some(path), Sampling::DEFAULT).expect("loads");
        assert_eq!(again.in_force().intervals, Intervals { min: 16, max: 99 });
    }
}
