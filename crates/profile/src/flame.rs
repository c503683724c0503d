//! A flame graph of one profile, or of what changed between two.
//!
//! It chooses what is shown and puts into words what that is. It draws nothing: `svg` and `page` do. The crate inferno was
//! tried and is not used: in a differential graph it colours only the leaves, it draws no more than one number per frame,
//! its image carries a script that a strict content policy refuses, and it takes folded lines, which repeat the whole path
//! for each stack.

use crate::picture::Picture;
use crate::profile::Profile;
use crate::tree::{FrameIdentity, Tree};
use crate::value::Value;
use crate::words;

/// The choice of what a flame graph shows, and of how much.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FlameOptions {
    /// The number that widths stand for.
    pub value: Value,
    /// Frames narrower than this part of the whole, from 0 to 1, are not drawn.
    pub least_fraction: f64,
    /// No more frames than this are drawn; the narrowest are left out.
    pub most_frames: usize,
}

impl Default for FlameOptions {
    fn default() -> FlameOptions {
        // A picture 1,200 pixels wide shows nothing of a frame that is a quarter of a pixel wide.
        FlameOptions { value: Value::LiveBytes, least_fraction: 0.0002, most_frames: 10_000 }
    }
}

impl FlameOptions {
    /// The default options for another value.
    pub fn of(value: Value) -> FlameOptions {
        FlameOptions { value, ..FlameOptions::default() }
    }
}

/// A flame graph that is laid out and ready to be drawn, as SVG ([`FlameGraph::svg`]) or as a page ([`FlameGraph::html`]).
pub struct FlameGraph {
    pub(crate) title: String,
    pub(crate) sentences: Vec<String>,
    pub(crate) query: Option<String>,
    pub(crate) value: Value,
    pub(crate) is_difference: bool,
    pub(crate) picture: Picture,
}

impl FlameGraph {
    /// The flame graph of one profile.
    pub fn new(profile: &Profile, options: FlameOptions) -> FlameGraph {
        let FlameOptions { value, least_fraction, most_frames } = options;
        let tree = Tree::new(profile, None, value, FrameIdentity::Line);
        let picture = Picture::new(tree, least_fraction, most_frames);
        let mut sentences = vec![words::total(profile, value), words::sampling(profile)];
        sentences.extend(words::omitted(&picture, value));
        sentences.extend(profile.notes.iter().cloned());
        let title = format!("{}: {}", words::upper_first(value.words()), profile.title);
        FlameGraph { title, sentences, query: profile.query.clone(), value, is_difference: false, picture }
    }

    /// The flame graph of a later profile, coloured by what changed since an earlier one.
    pub fn difference(before: &Profile, after: &Profile, options: FlameOptions) -> FlameGraph {
        let FlameOptions { value, least_fraction, most_frames } = options;
        let tree = Tree::new(after, Some(before), value, FrameIdentity::Line);
        let picture = Picture::new(tree, least_fraction, most_frames);
        let mut sentences = words::change(before, after, &picture, value);
        sentences.push(words::total(after, value));
        sentences.push(words::sampling(after));
        sentences.extend(words::omitted(&picture, value));
        sentences.extend(after.notes.iter().cloned());
        let title = if before.title == after.title {
            format!("Change of {}: {}", value.words(), after.title)
        } else {
            format!("Change of {}: {} to {}", value.words(), before.title, after.title)
        };
        FlameGraph { title, sentences, query: after.query.clone(), value, is_difference: true, picture }
    }
}
