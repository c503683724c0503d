//! pprof read back field by field, from the wire format itself: no message definition of ours is used.

use std::collections::HashMap;
use std::io::Read;

use super::{HOSTILE, profile_of, stack_of};
use crate::{Frame, Values, pprof};
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// Fields by number, in order: a decoder of the protobuf wire format (varints and lengths are all that occur).
fn fields(mut bytes: &[u8]) -> HashMap<u64, Vec<Field>> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        panic!("a varint of more than 64 bits");
    }
    let mut found: HashMap<u64, Vec<Field>> = HashMap::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value.to_vec())
            }
            kind => panic!("wire type {kind}"),
        };
        found.entry(tag >> 3).or_default().push(field);
    }
    found
}

type Message = HashMap<u64, Vec<Field>>;

fn messages(message: &Message, number: u64) -> Vec<Message> {
    let read = |field: &Field| match field {
        Field::Bytes(bytes) => fields(bytes),
        Field::Number(_) => panic!("a number"),
    };
    message.get(&number).into_iter().flatten().map(read).collect()
}

/// Packed or not.
fn numbers(message: &Message, number: u64) -> Vec<u64> {
    let mut found = Vec::new();
    for field in message.get(&number).into_iter().flatten() {
        match field {
            Field::Number(value) => found.push(*value),
            // A packed list is a sequence of varints: each is read as a field of its own behind a tag of ours.
            Field::Bytes(bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let end = rest.iter().position(|byte| byte & 0x80 == 0).expect("an end") + 1;
                    let (one, tail) = rest.split_at(end);
                    let Some(Field::Number(value)) = fields(&[&[8], one].concat()).remove(&1).map(|mut v| v.remove(0))
                    else {
                        panic!("no number")
                    };
                    found.push(value);
                    rest = tail;
                }
            }
        }
    }
    found
}

fn number(message: &Message, field: u64) -> u64 {
    numbers(message, field).first().copied().unwrap_or(0)
}

fn strings(message: &Message) -> Vec<String> {
    let read = |field: &Field| match field {
        Field::Bytes(bytes) => String::from_utf8(bytes.clone()).expect("UTF-8"),
        Field::Number(_) => panic!("a number"),
    };
    message[&6].iter().map(read).collect()
}

fn unpacked(bytes: &[u8]) -> Message {
    let mut message = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut message).expect("gzip");
    fields(&message)
}

#[test]
fn everything_is_in_it() {
    let mut stack = stack_of("main;outer", 100.0);
    stack.values = Values { live_count: 2.4, live_bytes: 100.6, total_count: 7.0, total_bytes: 500.0 };
    let inlined = Frame { function: "inner".into(), file: Some("lib.h".into()), line: Some(3), is_inline: true };
    Arc::make_mut(&mut stack.locations[0]).frames.insert(0, inlined);
    let mut again = stack.clone();
    again.label = "mine".into();
    let mut profile = profile_of([stack, again]);
    profile.errors.live_bytes = 10.0;
    let message = unpacked(&pprof(&profile));
    let strings = strings(&message);
    let text = |index: u64| strings[index as usize].as_str();
    assert_eq!(text(0), "");

    let types: Vec<_> =
        messages(&message, 1).iter().map(|kind| (text(number(kind, 1)), text(number(kind, 2)))).collect();
    let expected =
        [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")];
    assert_eq!(types, expected);
    assert_eq!(text(number(&message, 14)), "inuse_space");
    assert_eq!((number(&message, 9), number(&message, 12)), (1_700_000_000_000_000_000, 136));

    let samples = messages(&message, 2);
    assert_eq!(samples.len(), 2);
    let (locations, functions) = (messages(&message, 4), messages(&message, 5));
    let function = |id: u64| functions.iter().find(|function| number(function, 1) == id).expect("a function");
    for (sample, label) in samples.iter().zip(["glibc_malloc", "mine"]) {
        assert_eq!(numbers(sample, 2), [7, 500, 2, 101]);
        let lines: Vec<_> = numbers(sample, 1)
            .iter()
            .flat_map(|&id| messages(locations.iter().find(|at| number(at, 1) == id).expect("a location"), 4))
            .map(|line| (text(number(function(number(&line, 1)), 2)), number(&line, 2)))
            .collect();
        assert_eq!(lines, [("inner", 3), ("outer", 7), ("main", 7)]);
        let labels: HashMap<_, _> = messages(sample, 3)
            .iter()
            .map(|label| (text(number(label, 1)), (text(number(label, 2)), number(label, 3))))
            .collect();
        assert_eq!(labels, HashMap::from([("label", (label, 0)), ("command", ("./app", 0)), ("pid", ("", 42))]));
    }
    // Shared locations are written once.
    assert_eq!(locations.len(), 2);
    let mappings = messages(&message, 3);
    assert_eq!(mappings.len(), 1);
    let mapping = &mappings[0];
    assert_eq!((text(number(mapping, 5)), text(number(mapping, 6))), ("/opt/app", "c0ffee"));
    for location in &locations {
        assert_eq!(number(location, 2), number(mapping, 1));
        let address = number(location, 3);
        assert!((number(mapping, 2)..number(mapping, 3)).contains(&address), "{address:#x}");
    }
    let comments: Vec<_> = numbers(&message, 13).into_iter().map(text).collect();
    assert!(
        comments.iter().any(|comment| comment.contains("plus or minus 10 bytes (one standard error)")),
        "{comments:?}"
    );
}

#[test]
fn text_stays_as_it_was() {
    let mut profile = profile_of(HOSTILE.map(|_| stack_of("main", 1.0)));
    for (stack, name) in profile.stacks.iter_mut().zip(HOSTILE) {
        Arc::make_mut(&mut stack.locations[0]).frames[0].function = name.into();
    }
    let strings = strings(&unpacked(&pprof(&profile)));
    assert!(HOSTILE.iter().all(|name| strings.iter().any(|text| text == name)), "{strings:?}");
}

#[test]
fn an_address_without_a_name_is_shown_as_such() {
    let mut profile = profile_of([stack_of("main;f", 1.0)]);
    for (location, module) in profile.stacks[0].locations.iter_mut().zip([0, u32::MAX]) {
        let location = Arc::make_mut(location);
        location.frames.clear();
        location.module = module;
    }
    let strings = strings(&unpacked(&pprof(&profile)));
    assert!(
        strings.iter().any(|text| text == "app+0x1000") && strings.iter().any(|text| text == "0x1000"),
        "{strings:?}"
    );
}
