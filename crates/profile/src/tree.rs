//! All stacks of a profile as one tree: a node is a path of frames from the root.
//!
//! An arena, built and read without recursion, of at most [`MOST_NODES`] nodes. Stacks enter in descending order of value, so
//! that what no longer fits is the smallest: its value then stands at the last frame that did. Used by `picture` and
//! `folded`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::profile::{Location, Profile, Stack};
use crate::value::{Value, Values};

/// About 100 MB when full.
pub(crate) const MOST_NODES: usize = 1 << 20;
pub(crate) const ROOT: u32 = 0;

/// The rule by which two frames are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameIdentity {
    /// The function alone counts.
    Function,
    /// File and line count too: a function that allocates at two places is two frames.
    Line,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct NodeName {
    pub(crate) function: Arc<str>,
    pub(crate) file: Option<Arc<str>>,
    pub(crate) line: Option<u32>,
    pub(crate) is_inline: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    /// Smaller than the node's own index.
    pub(crate) parent: u32,
    /// Index into `names`.
    pub(crate) name: u32,
    /// The sum over all stacks that begin with this path.
    pub(crate) values: Values,
    /// The same sum in the earlier profile, of the value that the tree was built for.
    pub(crate) before: f64,
}

#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) names: Vec<NodeName>,
    /// The first is the root, which has no name.
    pub(crate) nodes: Vec<Node>,
    /// Stacks whose inner frames found no place.
    pub(crate) cut_stacks: usize,
    pub(crate) value: Value,
}

impl Tree {
    pub(crate) fn new(profile: &Profile, before: Option<&Profile>, value: Value, by: FrameIdentity) -> Tree {
        Tree::bounded(profile, before, value, by, MOST_NODES)
    }

    fn bounded(profile: &Profile, before: Option<&Profile>, value: Value, by: FrameIdentity, most: usize) -> Tree {
        let mut builder = Builder {
            tree: Tree { names: Vec::new(), nodes: vec![Node::default()], cut_stacks: 0, value },
            by,
            most,
            known: HashMap::new(),
            children: HashMap::new(),
        };
        builder.add(profile, |node, stack| node.values += stack.values);
        if let Some(before) = before {
            builder.add(before, |node, stack| node.before += stack.values.of(value));
        }
        builder.tree
    }

    /// The value of one node that the tree was built for.
    pub(crate) fn after(&self, node: u32) -> f64 {
        self.nodes[node as usize].values.of(self.value)
    }

    /// The names from the outermost frame to the node's.
    pub(crate) fn path(&self, mut node: u32) -> Vec<&NodeName> {
        let mut path = Vec::new();
        while node != ROOT {
            let Node { parent, name, .. } = self.nodes[node as usize];
            path.push(&self.names[name as usize]);
            node = parent;
        }
        path.reverse();
        path
    }
}

struct Builder {
    tree: Tree,
    by: FrameIdentity,
    most: usize,
    known: HashMap<NodeName, u32>,
    children: HashMap<(u32, u32), u32>,
}

impl Builder {
    fn add(&mut self, profile: &Profile, mut count: impl FnMut(&mut Node, &Stack)) {
        let value = self.tree.value;
        let mut order: Vec<&Stack> = profile.stacks.iter().collect();
        order.sort_by(|a, b| b.values.of(value).total_cmp(&a.values.of(value)));
        // Locations are shared between stacks, so each is looked at once. The profile outlives the map: no two of its
        // locations have one address.
        let mut seen: HashMap<*const Location, Vec<u32>> = HashMap::new();
        for stack in order {
            let mut at = ROOT;
            count(&mut self.tree.nodes[0], stack);
            'stack: for location in stack.locations.iter().rev() {
                let names = seen.entry(Arc::as_ptr(location)).or_insert_with(|| self.names(location, profile));
                for &name in names.iter() {
                    let Some(child) = self.child(at, name) else {
                        self.tree.cut_stacks += 1;
                        break 'stack;
                    };
                    count(&mut self.tree.nodes[child as usize], stack);
                    at = child;
                }
            }
        }
    }

    /// The names of a location, the outermost first.
    fn names(&mut self, location: &Location, profile: &Profile) -> Vec<u32> {
        if location.frames.is_empty() {
            let function = location.unnamed(&profile.modules).into();
            return vec![self.name(NodeName { function, file: None, line: None, is_inline: false })];
        }
        let by_line = self.by == FrameIdentity::Line;
        let names = location.frames.iter().rev().map(|frame| NodeName {
            function: Arc::clone(&frame.function),
            file: frame.file.clone().filter(|_| by_line),
            line: frame.line.filter(|_| by_line),
            is_inline: frame.is_inline && by_line,
        });
        names.map(|name| self.name(name)).collect()
    }

    fn name(&mut self, name: NodeName) -> u32 {
        let next = self.tree.names.len() as u32;
        *self.known.entry(name).or_insert_with_key(|name| {
            self.tree.names.push(name.clone());
            next
        })
    }

    /// None: there is no room for another.
    fn child(&mut self, parent: u32, name: u32) -> Option<u32> {
        if let Some(&child) = self.children.get(&(parent, name)) {
            return Some(child);
        }
        if self.tree.nodes.len() >= self.most {
            return None;
        }
        let child = self.tree.nodes.len() as u32;
        self.tree.nodes.push(Node { parent, name, ..Node::default() });
        self.children.insert((parent, name), child);
        Some(child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{profile_of, stack_of};

    #[test]
    fn what_does_not_fit_stands_at_the_last_frame_that_does() {
        let profile = profile_of([stack_of("main;big;leaf", 90.0), stack_of("main;small;leaf", 10.0)]);
        let tree = Tree::bounded(&profile, None, Value::LiveBytes, FrameIdentity::Line, 4);
        assert_eq!(tree.nodes.len(), 4);
        assert_eq!(tree.cut_stacks, 1);
        let found: Vec<_> = (0..4).map(|node| (tree.path(node).len(), tree.after(node))).collect();
        assert_eq!(found, [(0, 100.0), (1, 100.0), (2, 90.0), (3, 90.0)]);
    }

    #[test]
    fn a_function_at_two_lines_is_two_frames_or_one() {
        let mut here = stack_of("main", 1.0);
        let mut there = here.clone();
        for (stack, line) in [(&mut here, 1), (&mut there, 2)] {
            Arc::make_mut(&mut stack.locations[0]).frames[0].line = Some(line);
        }
        let profile = profile_of([here, there]);
        assert_eq!(Tree::new(&profile, None, Value::LiveBytes, FrameIdentity::Line).nodes.len(), 3);
        assert_eq!(Tree::new(&profile, None, Value::LiveBytes, FrameIdentity::Function).nodes.len(), 2);
    }
}
