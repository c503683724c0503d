//! The system parameters: what is stored, which sampling is in force, and how both change.
//!
//! The intervals' names, ranges, defaults and the rule that both statements of OceanBase's example succeed (min=10000 while max=256)
//! are OceanBase's. The stored values change at once; the pair in force changes when min <= max holds again.

pub mod spec;
mod stored;

use std::path::PathBuf;

use heapql_ledger::Sampling;
use parking_lot::Mutex;

use crate::failure::{Failure, FailureKind, Warning};

pub use spec::*;
use stored::StoredParameters;

/// One line of SHOW PARAMETERS, without what is the same for all.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: &'static str,
    /// `INT` or `STR`.
    pub data_type: &'static str,
    /// The stored value; numbers are decimal.
    pub value: String,
    /// Its meaning and its range.
    pub info: &'static str,
    /// The value until it is set.
    pub default_value: &'static str,
}

/// The SCOPE of ALTER SYSTEM SET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Until the server ends.
    Memory,
    /// From the next start of the server.
    File,
    /// Now and after a restart.
    Both,
}

/// The parameters of one server: stored values, and what is in force.
pub struct Parameters {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    memory: StoredParameters,
    on_disk: StoredParameters,
}

impl Parameters {
    /// Reads the file; without one, `initial` is in force. A file that cannot be used is an error that names it.
    pub fn load(file: Option<PathBuf>, initial: Sampling) -> Result<Parameters, Failure> {
        let kept = match &file {
            Some(path) => stored::load(path)?,
            None => None,
        };
        let memory = kept.unwrap_or_else(|| StoredParameters::new(initial));
        Ok(Parameters { file, state: Mutex::new(State { on_disk: memory.clone(), memory }) })
    }

    /// With the last consistent pair.
    pub fn in_force(&self) -> Sampling {
        self.state.lock().memory.sampling()
    }

    /// The stored value of a parameter.
    pub fn text(&self, spec: &'static Spec) -> String {
        self.state.lock().memory.value(spec).to_owned()
    }

    /// The stored value of a parameter that is a number.
    pub fn number(&self, spec: &'static Spec) -> u32 {
        self.state.lock().memory.number(spec)
    }

    /// All parameters by name, as SHOW PARAMETERS lists them.
    pub fn lines(&self) -> Vec<Line> {
        let state = self.state.lock();
        let line = |spec: &&'static Spec| Line {
            name: spec.name,
            data_type: match spec.kind {
                ParameterKind::Int(_) => "INT",
                ParameterKind::Text(_) => "STR",
            },
            value: state.memory.value(spec).to_owned(),
            info: spec.info,
            default_value: spec.default_value,
        };
        all().iter().map(line).collect()
    }

    /// Applies checked changes: to disk first, so that nothing changes when that fails. `apply` gets what is in force
    /// and runs under the lock, so that two clients cannot apply in the wrong order.
    pub fn change(
        &self,
        changes: &[(Setting, Reach)],
        apply: impl FnOnce(Sampling) -> Vec<Warning>,
    ) -> Result<Vec<Warning>, Failure> {
        let mut state = self.state.lock();
        let next = state.after(changes);
        if next.on_disk != state.on_disk {
            self.keep(&next.on_disk, changes)?;
        }
        *state = next;
        let mut warnings: Vec<_> = state.memory.inconsistency().into_iter().collect();
        if changes.iter().any(|(_, reach)| *reach != Reach::File) {
            warnings.extend(apply(state.memory.sampling()));
        }
        let waiting = changes.iter().filter(|(_, reach)| *reach == Reach::File);
        warnings.extend(waiting.map(|(setting, _)| {
            let (name, value) = (setting.spec().name, setting.value());
            let message = format!("{name} = {value} is stored and takes effect when the server restarts");
            Warning::new(FailureKind::InvalidParameter, message)
        }));
        Ok(warnings)
    }

    fn keep(&self, stored: &StoredParameters, changes: &[(Setting, Reach)]) -> Result<(), Failure> {
        match &self.file {
            Some(path) => stored::save(path, stored),
            None if changes.iter().any(|(_, reach)| *reach == Reach::File) => Err(Failure::new(
                FailureKind::Unsupported,
                "SCOPE = SPFILE needs a parameter file, and this server has none",
            )
            .hint("only `heapql serve` keeps parameters; use SCOPE = MEMORY")),
            None => Ok(()),
        }
    }
}

impl State {
    fn after(&self, changes: &[(Setting, Reach)]) -> State {
        let mut next = self.clone();
        for (setting, reach) in changes {
            if *reach != Reach::File {
                next.memory.set(setting.clone());
            }
            if *reach != Reach::Memory {
                next.on_disk.set(setting.clone());
            }
        }
        // A list is applied as a whole: the pair in between never comes into force.
        next.memory.settle();
        next.on_disk.settle();
        next
    }
}

#[cfg(test)]
mod tests {
    use heapql_ledger::Intervals;

    use super::*;

    const NORMAL: Intervals = Intervals { min: 16, max: 256 };

    fn change(spec: &'static Spec, value: u32, reach: Reach) -> (Setting, Reach) {
        (Setting::new(spec, &value.to_string()).expect("in the range"), reach)
    }

    fn set(parameters: &Parameters, spec: &'static Spec, value: u32) -> (Intervals, Vec<Warning>) {
        let mut applied = None;
        let warnings = parameters.change(&[change(spec, value, Reach::Both)], |pair| {
            applied = Some(pair.intervals);
            Vec::new()
        });
        (applied.expect("applied"), warnings.expect("accepted"))
    }

    #[test]
    fn the_six_statements_of_the_example() {
        let parameters = Parameters::load(None, Sampling::DEFAULT).expect("no file");
        let pair = |min, max| Intervals { min, max };
        let steps = [
            (&MIN, 10_000, NORMAL, true),
            (&MAX, 10_000, pair(10_000, 10_000), false),
            (&MIN, 1, pair(1, 10_000), false),
            (&MAX, 1, pair(1, 1), false),
            (&MIN, 16, pair(1, 1), true),
            (&MAX, 256, NORMAL, false),
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
        let (_, warnings) = set(&parameters, &MIN, 10_000);
        for part in ["10000", "256", "16..256", MIN.name, MAX.name] {
            assert!(warnings[0].message.contains(part), "{part} in {}", warnings[0].message);
        }
    }

    #[test]
    fn kept_across_a_restart_even_when_inconsistent() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parameters.toml");
        let parameters = Parameters::load(Some(path.clone()), Sampling::DEFAULT).expect("fresh");
        set(&parameters, &MIN, 10_000);
        set(&parameters, &DEPTH, 64);
        set(&parameters, &HISTORY_HOURS, 24);
        let sampling = Sampling { intervals: Intervals { min: 3, max: 4 }, depth: 20 };
        let again = Parameters::load(Some(path), sampling).expect("loads");
        assert_eq!(again.in_force(), Sampling { intervals: NORMAL, depth: 64 });
        assert_eq!(again.text(&MIN), "10000");
        assert_eq!(again.number(&HISTORY_HOURS), 24);
        assert_eq!(again.number(&HISTORY_INTERVAL), 10);
    }

    #[test]
    fn memory_is_not_kept_and_spfile_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("parameters.toml");
        let parameters = Parameters::load(Some(path.clone()), Sampling::DEFAULT).expect("fresh");
        parameters.change(&[change(&MIN, 5, Reach::Memory)], |_| Vec::new()).expect("memory");
        assert!(!path.exists());
        let warnings = parameters.change(&[change(&MAX, 99, Reach::File)], |_| panic!("applied")).expect("file");
        assert!(warnings[0].message.contains("restart"));
        assert_eq!(parameters.in_force().intervals, Intervals { min: 5, max: 256 });
        let again = Parameters::load(Some(path), Sampling::DEFAULT).expect("loads");
        assert_eq!(again.in_force().intervals, Intervals { min: 16, max: 99 });
    }
}
