//! The layout of a flame graph: the nodes of a tree that are wide enough, where each lies, and what was left out.
//!
//! It is laid out here so that the SVG and the page show the same, and a browser gets no more than it can draw. Called by
//! `flame`.

use crate::tree::{NodeName, ROOT, Tree};
use crate::value::Values;

/// No more paths that are gone are named.
const MOST_GONE: usize = 20;

/// A node that is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    /// Index of the bar below. The root has its own index.
    pub(crate) parent: usize,
    pub(crate) depth: usize,
    /// `None` for the root.
    pub(crate) name: Option<u32>,
    /// Left edge, in units of the value.
    pub(crate) start: f64,
    /// Its width.
    pub(crate) value: f64,
    pub(crate) values: Values,
    pub(crate) before: f64,
}

/// A path of the earlier profile of which nothing is left.
#[derive(Debug)]
pub(crate) struct GonePath {
    pub(crate) path: Vec<NodeName>,
    pub(crate) before: f64,
}

#[derive(Debug)]
pub(crate) struct Picture {
    /// The root, then each bar before those that stand on it; siblings in descending order of value.
    pub(crate) bars: Vec<Bar>,
    pub(crate) names: Vec<NodeName>,
    /// Frames that have a value and are not drawn, and what they have together.
    pub(crate) pruned_frames: usize,
    pub(crate) pruned_value: f64,
    /// The largest paths that are gone; `gone_count` and `gone_value` are the number and the sum of all.
    pub(crate) gone: Vec<GonePath>,
    pub(crate) gone_count: usize,
    pub(crate) gone_value: f64,
    pub(crate) cut_stacks: usize,
}

impl Picture {
    /// The picture of a tree, without frames narrower than a fraction of the whole, and of no more than `most_bars` bars.
    pub(crate) fn new(tree: Tree, least_fraction: f64, most_bars: usize) -> Picture {
        let keep = wide_enough(&tree, least_fraction, most_bars);
        let (pruned_frames, pruned_value) = pruned(&tree, &keep);
        let (gone, gone_count, gone_value) = gone(&tree);
        Picture {
            bars: laid_out(&tree, &keep),
            pruned_frames,
            pruned_value,
            gone,
            gone_count,
            gone_value,
            cut_stacks: tree.cut_stacks,
            names: tree.names,
        }
    }

    pub(crate) fn name(&self, bar: &Bar) -> Option<&NodeName> {
        bar.name.map(|name| &self.names[name as usize])
    }

    pub(crate) fn total(&self) -> f64 {
        self.bars[0].value
    }

    pub(crate) fn depth(&self) -> usize {
        self.bars.iter().map(|bar| bar.depth).max().unwrap_or(0) + 1
    }
}

/// Chooses the nodes that are drawn. A parent has no less than its child and a smaller index, so what is kept is a tree.
fn wide_enough(tree: &Tree, least_fraction: f64, most: usize) -> Vec<bool> {
    let least = tree.after(ROOT) * least_fraction;
    let mut order: Vec<u32> =
        (1..tree.nodes.len() as u32).filter(|&node| tree.after(node) > 0.0 && tree.after(node) >= least).collect();
    order.sort_by(|&a, &b| tree.after(b).total_cmp(&tree.after(a)).then(a.cmp(&b)));
    let mut keep = vec![false; tree.nodes.len()];
    keep[0] = true;
    for &node in order.iter().take(most.saturating_sub(1)) {
        keep[node as usize] = keep[tree.nodes[node as usize].parent as usize];
    }
    keep
}

fn pruned(tree: &Tree, keep: &[bool]) -> (usize, f64) {
    let mut frames = 0;
    let mut value = 0.0;
    for (index, node) in tree.nodes.iter().enumerate() {
        let after = tree.after(index as u32);
        if !keep[index] && after > 0.0 {
            frames += 1;
            // The nodes above it are part of it.
            value += if keep[node.parent as usize] { after } else { 0.0 };
        }
    }
    (frames, value)
}

fn laid_out(tree: &Tree, keep: &[bool]) -> Vec<Bar> {
    let mut by_parent: Vec<u32> = (1..tree.nodes.len() as u32).filter(|&node| keep[node as usize]).collect();
    let parent_of = |node: u32| tree.nodes[node as usize].parent;
    by_parent.sort_by(|&a, &b| {
        parent_of(a).cmp(&parent_of(b)).then(tree.after(b).total_cmp(&tree.after(a))).then(a.cmp(&b))
    });
    let children = |node: u32| {
        let from = by_parent.partition_point(|&other| parent_of(other) < node);
        let to = by_parent.partition_point(|&other| parent_of(other) <= node);
        &by_parent[from..to]
    };
    let mut bars: Vec<Bar> = Vec::with_capacity(by_parent.len() + 1);
    // Node, bar below, depth, start.
    let mut waiting = vec![(ROOT, 0, 0, 0.0)];
    while let Some((node, parent, depth, start)) = waiting.pop() {
        let index = bars.len();
        let at = &tree.nodes[node as usize];
        let name = (node != ROOT).then_some(at.name);
        bars.push(Bar { parent, depth, name, start, value: tree.after(node), values: at.values, before: at.before });
        let first = waiting.len();
        let mut start = start;
        for &child in children(node) {
            waiting.push((child, index, depth + 1, start));
            start += tree.after(child);
        }
        waiting[first..].reverse();
    }
    bars
}

/// The outermost nodes that have nothing now and had something before.
fn gone(tree: &Tree) -> (Vec<GonePath>, usize, f64) {
    let is_gone = |node: u32| tree.after(node) <= 0.0 && tree.nodes[node as usize].before > 0.0;
    let mut found: Vec<u32> = (1..tree.nodes.len() as u32)
        .filter(|&node| is_gone(node))
        .filter(|&node| tree.nodes[node as usize].parent == ROOT || !is_gone(tree.nodes[node as usize].parent))
        .collect();
    let before = |node: u32| tree.nodes[node as usize].before;
    found.sort_by(|&a, &b| before(b).total_cmp(&before(a)).then(a.cmp(&b)));
    let sum = found.iter().map(|&node| before(node)).sum();
    let count = found.len();
    found.truncate(MOST_GONE);
    let named = |node| GonePath { path: tree.path(node).into_iter().cloned().collect(), before: before(node) };
    (found.into_iter().map(named).collect(), count, sum)
}
