//! A profile as pprof reads it: the message `perftools.profiles.Profile`, gzipped.
//!
//! The fields are those of google/pprof's `proto/profile.proto`, as far as a heap profile has them; they are written out
//! here because a build should need no protoc. Names, files and lines are inside, so no reader needs the binaries.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::profile::{Location, Profile, Stack};
use crate::value::Value;
use crate::words;

/// The profile as the bytes of a `profile.pb.gz`.
pub fn pprof(profile: &Profile) -> Vec<u8> {
    let message = Builder::default().built(profile).encode_to_vec();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&message).and_then(|()| gzip.finish()).expect("writing to memory does not fail")
}

/// The sample types, in the order of `go tool pprof` for heap profiles. The default is the last.
const SAMPLE_TYPES: [(&str, &str, Value); 4] = [
    ("alloc_objects", "count", Value::TotalCount),
    ("alloc_space", "bytes", Value::TotalBytes),
    ("inuse_objects", "count", Value::LiveCount),
    ("inuse_space", "bytes", Value::LiveBytes),
];

#[derive(Default)]
struct Builder {
    strings: HashMap<Arc<str>, i64>,
    table: Vec<String>,
    functions: HashMap<(i64, i64), u64>,
    locations: HashMap<*const Location, u64>,
    message: ProfileMessage,
}

impl Builder {
    fn built(mut self, profile: &Profile) -> ProfileMessage {
        self.string("");
        self.message.sample_type = SAMPLE_TYPES.map(|(kind, unit, _)| self.value_type(kind, unit)).to_vec();
        self.message.default_sample_type = self.string("inuse_space");
        self.mappings(profile);
        for stack in &profile.stacks {
            let sample = self.sample(stack, profile);
            self.message.sample.push(sample);
        }
        let since = profile.taken_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.message.time_nanos = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        self.message.period_type = Some(self.value_type("allocations", "count"));
        self.message.period = profile.intervals.map_or(0, |(min, max)| (i64::from(min) + i64::from(max)) / 2);
        let sentences = [profile.title.clone(), words::sampling(profile)];
        let totals = Value::ALL.map(|value| words::total(profile, value));
        for sentence in sentences.iter().chain(&totals).chain(&profile.notes) {
            let sentence = self.string(sentence);
            self.message.comment.push(sentence);
        }
        self.message.string_table = self.table;
        self.message
    }

    fn mappings(&mut self, profile: &Profile) {
        let mut is_named = vec![true; profile.modules.len()];
        let mut has_lines = vec![false; profile.modules.len()];
        for location in profile.stacks.iter().flat_map(|stack| &stack.locations) {
            let Some(named) = is_named.get_mut(location.module as usize) else { continue };
            *named &= !location.frames.is_empty();
            has_lines[location.module as usize] |= location.frames.iter().any(|frame| frame.line.is_some());
        }
        for (i, module) in profile.modules.iter().enumerate() {
            let filename = self.string(&module.path);
            let build_id = self.string(&module.build_id);
            self.message.mapping.push(MappingMessage {
                id: i as u64 + 1,
                memory_start: module.start,
                memory_limit: module.end,
                file_offset: 0,
                filename,
                build_id,
                has_functions: is_named[i],
                has_filenames: has_lines[i],
                has_line_numbers: has_lines[i],
                has_inline_frames: has_lines[i],
            });
        }
    }

    fn sample(&mut self, stack: &Stack, profile: &Profile) -> SampleMessage {
        let location_id = stack.locations.iter().map(|location| self.location(location, profile)).collect();
        let text = |builder: &mut Builder, key: &str, text: &str| LabelMessage {
            key: builder.string(key),
            str: builder.string(text),
            ..LabelMessage::default()
        };
        let mut label = vec![text(self, "label", &stack.label), text(self, "command", &stack.command)];
        if !stack.server.is_empty() {
            label.push(text(self, "server", &stack.server));
        }
        label.push(LabelMessage { key: self.string("pid"), num: stack.pid, ..LabelMessage::default() });
        let value = SAMPLE_TYPES.map(|(_, _, value)| stack.values.of(value).round() as i64).to_vec();
        SampleMessage { location_id, value, label }
    }

    /// Locations are shared between stacks: each is written once.
    fn location(&mut self, location: &Arc<Location>, profile: &Profile) -> u64 {
        if let Some(&id) = self.locations.get(&Arc::as_ptr(location)) {
            return id;
        }
        let module = profile.modules.get(location.module as usize);
        let mut line: Vec<LineMessage> = Vec::with_capacity(location.frames.len().max(1));
        for frame in &location.frames {
            let function_id = self.function(&frame.function, frame.file.as_deref().unwrap_or(""));
            line.push(LineMessage { function_id, line: i64::from(frame.line.unwrap_or(0)) });
        }
        if line.is_empty() {
            let function_id = self.function(&location.unnamed(&profile.modules), "");
            line.push(LineMessage { function_id, line: 0 });
        }
        let id = self.message.location.len() as u64 + 1;
        self.message.location.push(LocationMessage {
            id,
            mapping_id: module.map_or(0, |_| u64::from(location.module) + 1),
            address: location.address.wrapping_add(module.map_or(0, |module| module.load_bias)),
            line,
        });
        self.locations.insert(Arc::as_ptr(location), id);
        id
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let key = (self.string(name), self.string(file));
        let next = self.message.function.len() as u64 + 1;
        let functions = &mut self.message.function;
        *self.functions.entry(key).or_insert_with(|| {
            functions.push(FunctionMessage { id: next, name: key.0, filename: key.1 });
            next
        })
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueTypeMessage {
        ValueTypeMessage { kind: self.string(kind), unit: self.string(unit) }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.strings.get(text) {
            return index;
        }
        let index = self.table.len() as i64;
        self.table.push(text.to_owned());
        self.strings.insert(text.into(), index);
        index
    }
}

#[derive(Clone, PartialEq, Message)]
struct ProfileMessage {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueTypeMessage>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<SampleMessage>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<MappingMessage>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<LocationMessage>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<FunctionMessage>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueTypeMessage>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueTypeMessage {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct SampleMessage {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<LabelMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelMessage {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
    #[prost(int64, tag = "3")]
    num: i64,
}

#[derive(Clone, PartialEq, Message)]
struct MappingMessage {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(uint64, tag = "4")]
    file_offset: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct LocationMessage {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<LineMessage>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct LineMessage {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct FunctionMessage {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    // Without `system_name` (3): pprof takes templates off names that are the same there.
    #[prost(int64, tag = "4")]
    filename: i64,
}
