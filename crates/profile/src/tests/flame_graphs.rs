//! Flame graphs read back by parsers of XML and HTML that are not ours.

use std::collections::HashMap;
use std::sync::Arc;

use html5gum::{Token, Tokenizer};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::{HOSTILE, profile_of, stack_of};
use crate::{FlameGraph, FlameOptions, Profile, Value};

/// The text of each frame's title, and its x and width.
fn rectangles(svg: &str) -> Vec<(String, f64, f64)> {
    let document = roxmltree::Document::parse(svg).expect("XML");
    let groups = document.descendants().filter(|node| node.has_tag_name("g"));
    let read = groups.map(|group| {
        let child = |name| group.children().find(|node| node.has_tag_name(name)).expect("its child");
        let number = |name| child("rect").attribute(name).expect("an attribute").parse().expect("a number");
        (child("title").text().expect("a text").to_owned(), number("x"), number("width"))
    });
    read.collect()
}

/// Its name and its attributes.
type Element = (String, HashMap<String, String>);

/// All elements, and the data of the page.
fn elements(html: &str) -> (Vec<Element>, Json) {
    let mut found = Vec::new();
    let mut data = None;
    let mut last = String::new();
    for token in Tokenizer::new(html) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let attributes: HashMap<_, _> =
                    tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
                last = attributes.get("id").cloned().unwrap_or_default();
                found.push((text(&tag.name), attributes));
            }
            Token::String(text) if last == "data" && data.is_none() => {
                data = Some(serde_json::from_slice(&text).expect("JSON"));
            }
            _ => (),
        }
    }
    (found, data.expect("data"))
}

fn names(elements: &[Element]) -> Vec<&str> {
    elements.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn widths_are_the_sums() {
    let stacks = [("main;a;x", 300.0), ("main;a;y", 100.0), ("main;b", 600.0), ("thread;a", 200.0)];
    let profile = profile_of(stacks.map(|(frames, bytes)| stack_of(frames, bytes)));
    let svg = FlameGraph::new(&profile, FlameOptions::default()).svg();
    let per_byte = 1180.0 / 1200.0;
    let found: Vec<_> = rectangles(&svg)
        .into_iter()
        .map(|(title, x, width)| {
            let function = title.split([' ', ':']).next().expect("a name").to_owned();
            (function, ((x - 10.0) / per_byte).round() as u64, (width / per_byte).round() as u64)
        })
        .collect();
    let expected = [
        ("all", 0, 1200),
        ("main", 0, 1000),
        ("b", 0, 600),
        ("a", 600, 400),
        ("x", 600, 300),
        ("y", 900, 100),
        ("thread", 1000, 200),
        ("a", 1000, 200),
    ];
    assert_eq!(found, expected.map(|(name, from, width)| (name.to_owned(), from, width)));
    assert!(svg.contains("a src/app.c:7: 400 bytes in 200 allocations, 33.33%"), "{svg}");

    let (_, data) = elements(&FlameGraph::new(&profile, FlameOptions::default()).html());
    let bars = data["bars"].as_array().expect("bars");
    let found: Vec<_> = bars.iter().map(|bar| (bar[3].as_u64(), bar[4].as_u64())).collect();
    assert_eq!(found, expected.map(|(_, from, width)| (Some(from), Some(width))));
}

#[test]
fn names_are_text_wherever_they_stand() {
    let stacks = HOSTILE.iter().map(|name| {
        let mut stack = stack_of("main;f", 10.0);
        let frame = &mut Arc::make_mut(&mut stack.locations[0]).frames[0];
        frame.function = (*name).into();
        frame.file = Some((*name).into());
        stack
    });
    let mut profile = profile_of(stacks);
    profile.title = HOSTILE.concat();
    profile.notes = HOSTILE.map(str::to_owned).to_vec();
    profile.query = Some(HOSTILE.concat());
    let harmless = profile_of(HOSTILE.map(|_| stack_of("main;f", 10.0)));

    let svg = FlameGraph::new(&profile, FlameOptions::default()).svg();
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let tags = ["svg", "title", "style", "rect", "text", "g"];
    assert!(document.descendants().filter(|node| node.is_element()).all(|node| tags.contains(&node.tag_name().name())));
    assert_eq!(rectangles(&svg).len(), 2 + HOSTILE.len());

    let difference = FlameGraph::difference(&profile, &harmless, FlameOptions::default());
    for (flame, tables) in [(FlameGraph::new(&profile, FlameOptions::default()), 0), (difference, 1)] {
        let (elements, data) = elements(&flame.html());
        let names = names(&elements);
        let count = |name| names.iter().filter(|other| **other == name).count();
        assert_eq!((count("script"), count("style"), count("table")), (2, 1, tables), "{names:?}");
        assert_eq!((count("img"), count("svg")), (0, 0), "{names:?}");
        assert!(elements.iter().all(|(_, attributes)| !attributes.keys().any(|name| name.starts_with("on"))));
        if tables == 0 {
            let functions = data["names"].as_array().expect("names").iter().map(|name| name[0].as_str());
            let functions: Vec<_> = functions.map(|name| name.expect("a name")).collect();
            assert!(HOSTILE.iter().all(|name| functions.contains(name)), "{functions:?}");
        }
    }
}

#[test]
fn a_page_loads_nothing_and_runs_only_its_own() {
    let page = FlameGraph::new(&profile_of([stack_of("main", 1.0)]), FlameOptions::default()).html();
    let (elements, _) = elements(&page);
    let policy = elements.iter().find_map(|(_, attributes)| {
        (attributes.get("http-equiv")? == "Content-Security-Policy").then(|| attributes["content"].clone())
    });
    let policy = policy.expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(elements.iter().all(|(_, attributes)| !attributes.contains_key("src") && !attributes.contains_key("href")));
    assert!(elements.iter().all(|(_, attributes)| !attributes.contains_key("style")), "the policy refuses these");
    assert!(!page.contains("http:") && !page.contains("https:"));
}

#[test]
fn it_says_what_the_numbers_are() {
    let mut profile = profile_of([stack_of("main", 3.0 * 1024.0 * 1024.0)]);
    profile.errors.live_bytes = 2048.0;
    let text = |profile: &Profile| FlameGraph::new(profile, FlameOptions::default()).html();
    let page = text(&profile);
    assert!(page.contains("3.0 MiB live bytes in all, plus or minus 2.0 KiB (one standard error)."), "{page}");
    assert!(page.contains("one allocation in 16 to 256 was sampled"), "{page}");
    profile.intervals = Some((1, 1));
    assert!(text(&profile).contains("the numbers are exact"));
}

#[test]
fn what_is_too_narrow_is_counted() {
    let stacks = (0..1000).map(|i| stack_of(&format!("main;f{i};g"), 1.0)).chain([stack_of("main;big", 99_000.0)]);
    let profile = profile_of(stacks);
    let svg = FlameGraph::new(&profile, FlameOptions::default()).svg();
    assert_eq!(rectangles(&svg).len(), 3);
    assert!(svg.contains("2,000 frames too narrow to be drawn were left out: 1000 bytes (1.00%)"), "{svg}");
    let all = FlameOptions { least_fraction: 0.0, ..FlameOptions::default() };
    assert_eq!(rectangles(&FlameGraph::new(&profile, all).svg()).len(), 2003);
    // Bounded also where all are equal: what is drawn has its callers below it.
    let few = FlameOptions { least_fraction: 0.0, most_frames: 10, ..FlameOptions::default() };
    assert_eq!(rectangles(&FlameGraph::new(&profile, few).svg()).len(), 10);
}

#[test]
fn a_difference_has_the_later_widths() {
    let before = profile_of([("main;a", 100.0), ("main;b", 300.0), ("main;c;d", 50.0)].map(|(f, b)| stack_of(f, b)));
    let after = profile_of([("main;a", 400.0), ("main;b", 200.0)].map(|(f, b)| stack_of(f, b)));
    let flame = FlameGraph::difference(&before, &after, FlameOptions::default());
    let svg = flame.svg();
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let fill = |function: &str| {
        let group = document.descendants().find(|node| {
            let title = node.children().find(|child| child.has_tag_name("title"));
            node.has_tag_name("g")
                && title.and_then(|title| title.text()).is_some_and(|text| text.starts_with(function))
        });
        let group = group.unwrap_or_else(|| panic!("no {function}"));
        group.children().find_map(|node| node.attribute("fill")).expect("a colour").to_owned()
    };
    // Also the caller: it grew by what it called.
    assert!(fill("main ").starts_with("hsl(2,"));
    assert!(fill("a ").starts_with("hsl(2,") && fill("b ").starts_with("hsl(212,"));
    assert!(svg.contains("before 100 bytes, change +300 bytes"), "{svg}");
    assert!(svg.contains("Live bytes grew from 450 bytes to 600 bytes (+150 bytes)"), "{svg}");
    assert!(svg.contains("Gone: 50 bytes in 1 paths"), "{svg}");
    assert_eq!(rectangles(&svg).len(), 4);
    let page = flame.html();
    assert!(page.contains("<td>50 bytes</td><td>c &larr; main</td>"), "{page}");
}

#[test]
fn nothing_is_a_picture_too() {
    for profile in [profile_of([]), profile_of([stack_of("main", 0.0), stack_of("x", f64::NAN), stack_of("y", -5.0)])] {
        let flame = FlameGraph::new(&profile, FlameOptions::default());
        assert_eq!(rectangles(&flame.svg()).len(), 0);
        assert!(flame.svg().contains("0 bytes live bytes in all"), "{}", flame.svg());
        assert_eq!(elements(&flame.html()).1["bars"].as_array().expect("bars").len(), 1);
        let gone = FlameGraph::difference(&profile_of([stack_of("main;a", 9.0)]), &profile, FlameOptions::default());
        assert!(gone.svg().contains("Gone: 9 bytes in 1 paths"), "{}", gone.svg());
    }
}

proptest! {
    /// Whatever the stacks are, every child lies on its parent and no two bars of a row overlap.
    #[test]
    fn bars_lie_on_their_callers(stacks in proptest::collection::vec(
        (proptest::collection::vec(0..4_u8, 0..8), 1..1000_u32), 1..40), least in 0.0..0.2_f64)
    {
        let stacks = stacks.into_iter().map(|(frames, bytes)| {
            let frames: Vec<_> = frames.into_iter().map(|frame| format!("f{frame}")).collect();
            stack_of(&frames.join(";"), f64::from(bytes))
        });
        let profile = profile_of(stacks);
        let (_, data) = elements(&FlameGraph::new(&profile, FlameOptions { least_fraction: least, ..FlameOptions::default() }).html());
        let bars = data["bars"].as_array().expect("bars");
        prop_assert_eq!(bars[0][4].as_f64(), Some(profile.sum(Value::LiveBytes)));
        let at = |bar: usize, field: usize| bars[bar][field].as_u64().expect("a number");
        let mut ends: HashMap<u64, u64> = HashMap::new();
        for bar in 1..bars.len() {
            let parent = at(bar, 0) as usize;
            prop_assert!(parent < bar && at(bar, 1) == at(parent, 1) + 1);
            prop_assert!(at(bar, 3) >= at(parent, 3) && at(bar, 3) + at(bar, 4) <= at(parent, 3) + at(parent, 4));
            let end = ends.entry(at(bar, 1)).or_default();
            prop_assert!(at(bar, 3) >= *end);
            *end = at(bar, 3) + at(bar, 4);
        }
    }
}
