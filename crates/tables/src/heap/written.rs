//! A part of a profile on its way to another server: places and texts once, stacks as lists of places.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use heapql_profile::{Frame, Location, ProfileModule, Stack, Value, Values};
use serde::{Deserialize, Serialize};

use super::Process;
use super::ProfileFragment;

/// A fragment of a profile as it crosses the wire.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProfileRecord {
    taken_at: SystemTime,
    processes: Vec<Process>,
    is_of_ended: bool,
    ended: usize,
    server_pid: Option<u32>,
    lost: u64,
    warnings: Vec<String>,
    modules: Vec<WrittenModule>,
    /// Functions, files and labels.
    texts: Vec<String>,
    locations: Vec<WrittenLocation>,
    stacks: Vec<WrittenStack>,
    errors: [f64; 4],
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenModule {
    path: String,
    build_id: String,
    start: u64,
    end: u64,
    load_bias: u64,
}

/// A location: module, address, and for each frame function, file, line and whether it is inlined.
type WrittenLocation = (u32, u64, Vec<(u32, Option<u32>, Option<u32>, bool)>);
/// Locations, label, pid, command, values.
type WrittenStack = (Vec<u32>, u32, i64, u32, [f64; 4]);

/// The texts in the order of their numbers.
#[derive(Default)]
struct Texts {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<String>,
}

impl Texts {
    fn number(&mut self, text: &Arc<str>) -> u32 {
        let texts = &mut self.texts;
        *self.numbers.entry(Arc::clone(text)).or_insert_with(|| {
            texts.push(text.to_string());
            texts.len() as u32 - 1
        })
    }
}

impl ProfileRecord {
    pub(super) fn new(part: &ProfileFragment, warnings: &[String]) -> ProfileRecord {
        let mut texts = Texts::default();
        let (mut locations, mut numbers) = (Vec::new(), HashMap::new());
        let stacks = part.stacks.iter().map(|stack| {
            let places = stack.locations.iter().map(|location| {
                *numbers.entry(Arc::as_ptr(location)).or_insert_with(|| {
                    locations.push(written_location(location, &mut texts));
                    locations.len() as u32 - 1
                })
            });
            let places = places.collect();
            (places, texts.number(&stack.label), stack.pid, texts.number(&stack.command), numbers_of(&stack.values))
        });
        let stacks = stacks.collect();
        ProfileRecord {
            taken_at: part.taken_at,
            processes: part.processes.clone(),
            is_of_ended: part.is_of_ended,
            ended: part.ended,
            server_pid: part.server_pid,
            lost: part.lost,
            warnings: warnings.to_vec(),
            modules: part.modules.iter().cloned().map(WrittenModule::from).collect(),
            texts: texts.texts,
            locations,
            stacks,
            errors: numbers_of(&part.errors),
        }
    }

    /// The warnings that a statement of that server would have.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// None if a number leads nowhere.
    pub(super) fn part(self) -> Option<ProfileFragment> {
        let texts: Vec<Arc<str>> = self.texts.into_iter().map(Arc::from).collect();
        let text = |number: u32| texts.get(number as usize).cloned();
        let frame = |(function, file, line, is_inline): &(u32, Option<u32>, Option<u32>, bool)| {
            let file = match file {
                Some(file) => Some(text(*file)?),
                None => None,
            };
            Some(Frame { function: text(*function)?, file, line: *line, is_inline: *is_inline })
        };
        let location = |(module, address, frames): &WrittenLocation| {
            let frames = frames.iter().map(frame).collect::<Option<Vec<_>>>()?;
            Some(Arc::new(Location { module: *module, address: *address, frames }))
        };
        let locations = self.locations.iter().map(location).collect::<Option<Vec<_>>>()?;
        let stack = |(places, label, pid, command, values): WrittenStack| {
            let places = places.into_iter().map(|place| locations.get(place as usize).cloned());
            let (label, command) = (text(label)?, text(command)?);
            let locations = places.collect::<Option<Vec<_>>>()?;
            Some(Stack { locations, label, server: "".into(), pid, command, values: values_of(values) })
        };
        Some(ProfileFragment {
            taken_at: self.taken_at,
            processes: self.processes,
            is_of_ended: self.is_of_ended,
            ended: self.ended,
            server_pid: self.server_pid,
            lost: self.lost,
            modules: self.modules.into_iter().map(ProfileModule::from).collect(),
            stacks: self.stacks.into_iter().map(stack).collect::<Option<_>>()?,
            errors: values_of(self.errors),
        })
    }
}

fn written_location(location: &Location, texts: &mut Texts) -> WrittenLocation {
    let frame = |frame: &Frame| {
        let file = frame.file.as_ref().map(|file| texts.number(file));
        (texts.number(&frame.function), file, frame.line, frame.is_inline)
    };
    (location.module, location.address, location.frames.iter().map(frame).collect())
}

/// JSON has no other numbers than finite ones.
fn numbers_of(values: &Values) -> [f64; 4] {
    Value::ALL.map(|value| values.of(value))
}

fn values_of([live_bytes, live_count, total_bytes, total_count]: [f64; 4]) -> Values {
    Values { live_count, live_bytes, total_count, total_bytes }
}

impl From<ProfileModule> for WrittenModule {
    fn from(module: ProfileModule) -> WrittenModule {
        let ProfileModule { path, build_id, start, end, load_bias } = module;
        WrittenModule { path, build_id, start, end, load_bias }
    }
}

impl From<WrittenModule> for ProfileModule {
    fn from(module: WrittenModule) -> ProfileModule {
        let WrittenModule { path, build_id, start, end, load_bias } = module;
        ProfileModule { path, build_id, start, end, load_bias }
    }
}
