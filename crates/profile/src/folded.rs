//! Folded stacks: a line per stack, `root;..;leaf value`, as flamegraph.pl, inferno, speedscope and others read them.
//!
//! A function is a name here, without file and line. Lines are sorted; equal stacks are summed. A text beyond
//! [`MOST_BYTES`] ends with what the smallest stacks have together, so that the sum is right.

use crate::profile::Profile;
use crate::text;
use crate::tree::{FrameIdentity, ROOT, Tree};
use crate::value::Value;

const MOST_BYTES: usize = 64 << 20;
/// The line of stacks without frames.
const NO_FRAMES: &str = "[no stack]";
const SMALLER: &str = "[smaller stacks, not shown]";

/// The profile as folded stacks. Values are rounded to whole numbers; a stack of less than a half has no line.
pub fn folded(profile: &Profile, value: Value) -> String {
    bounded(profile, value, MOST_BYTES)
}

fn bounded(profile: &Profile, value: Value, most_bytes: usize) -> String {
    let tree = Tree::new(profile, None, value, FrameIdentity::Function);
    let names: Vec<String> = tree.names.iter().map(|name| text::folded(&name.function)).collect();
    // The value of each node without its children.
    let mut own: Vec<f64> = tree.nodes.iter().map(|node| node.values.of(value)).collect();
    for (index, node) in tree.nodes.iter().enumerate().skip(1) {
        own[node.parent as usize] -= tree.after(index as u32);
    }
    let mut order: Vec<u32> = (0..own.len() as u32).filter(|&node| own[node as usize] >= 0.5).collect();
    order.sort_by(|&a, &b| own[b as usize].total_cmp(&own[a as usize]).then(a.cmp(&b)));

    let mut lines = Vec::with_capacity(order.len());
    let mut bytes = 0;
    let mut rest = 0.0;
    for node in order {
        let own = own[node as usize];
        if bytes >= most_bytes {
            rest += own;
            continue;
        }
        let line = format!("{} {own:.0}\n", stack(&tree, &names, node));
        bytes += line.len();
        lines.push(line);
    }
    lines.sort_unstable();
    if rest > 0.0 {
        lines.push(format!("{SMALLER} {rest:.0}\n"));
    }
    lines.concat()
}

fn stack(tree: &Tree, names: &[String], mut node: u32) -> String {
    if node == ROOT {
        return NO_FRAMES.to_owned();
    }
    let mut path = Vec::new();
    while node != ROOT {
        let at = &tree.nodes[node as usize];
        path.push(names[at.name as usize].as_str());
        node = at.parent;
    }
    path.reverse();
    path.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{profile_of, stack_of};

    #[test]
    fn equal_stacks_are_summed_and_the_root_comes_first() {
        let stacks = [("main;b;malloc", 3.0), ("main;a", 5.0), ("main;b;malloc", 4.0), ("main", 1.0), ("", 2.0)];
        let profile = profile_of(stacks.map(|(frames, bytes)| stack_of(frames, bytes)));
        let expected = "[no stack] 2\nmain 1\nmain;a 5\nmain;b;malloc 7\n";
        assert_eq!(folded(&profile, Value::LiveBytes), expected);
        assert_eq!(folded(&profile, Value::TotalBytes), "");
    }

    #[test]
    fn a_name_is_one_frame_of_one_line() {
        let mut stack = stack_of("main;x", 8.0);
        let frames = ["<[u8; 8] as a\nb>::f", "  \u{1}"];
        for (location, name) in stack.locations.iter_mut().zip(frames) {
            std::sync::Arc::make_mut(location).frames[0].function = name.into();
        }
        assert_eq!(folded(&profile_of([stack]), Value::LiveBytes), "[unknown];<[u8: 8] as a b>::f 8\n");
    }

    #[test]
    fn a_bounded_text_has_the_right_sum() {
        let profile = profile_of((1..=100).map(|i| stack_of(&format!("main;f{i}"), i as f64)));
        let text = bounded(&profile, Value::LiveBytes, 200);
        assert!(text.len() < 300, "{text}");
        let values =
            text.lines().map(|line| line.rsplit_once(' ').expect("a value").1.parse::<u64>().expect("a number"));
        assert_eq!(values.sum::<u64>(), 5050);
        assert!(text.starts_with("main;f100 100\n"));
        assert!(text.ends_with('\n') && text.contains(SMALLER));
    }
}
