//! Sentences that say what the numbers of a picture or an export are.
//!
//! A picture without them invites to take a sample for a count. Called by `flame` and `pprof`.

use crate::number::{grouped, percent, shown};
use crate::picture::Picture;
use crate::profile::Profile;
use crate::value::Value;

/// Says how the numbers came about.
pub(crate) fn sampling(profile: &Profile) -> String {
    match profile.intervals {
        Some((1, 1)) => "Every allocation was recorded: the numbers are exact.".to_owned(),
        Some((min, max)) if min == max => format!(
            "The numbers are estimates: one allocation in {min} was sampled, and each sample stands for those that were not."
        ),
        Some((min, max)) => format!(
            "The numbers are estimates: one allocation in {min} to {max} was sampled, and each sample stands for those \
             that were not."
        ),
        None => {
            "The numbers are estimates: some allocations were sampled, and each sample stands for those that were not."
                .to_owned()
        }
    }
}

/// The sum over everything, with its error.
pub(crate) fn total(profile: &Profile, value: Value) -> String {
    let number = profile.sum(value);
    let error = profile.errors.of(value);
    let words = value.words();
    if error > 0.0 {
        let error = shown(error, value.is_bytes());
        format!("{} {words} in all, plus or minus {error} (one standard error).", shown(number, value.is_bytes()))
    } else {
        format!("{} {words} in all.", shown(number, value.is_bytes()))
    }
}

/// Says what a picture leaves out. It is empty if that is nothing.
pub(crate) fn omitted(picture: &Picture, value: Value) -> Vec<String> {
    let mut sentences = Vec::new();
    if picture.pruned_frames > 0 {
        sentences.push(format!(
            "{} frames too narrow to be drawn were left out: {} ({}) in blank space below their callers.",
            grouped(picture.pruned_frames as f64),
            shown(picture.pruned_value, value.is_bytes()),
            percent(picture.pruned_value, picture.total()),
        ));
    }
    if picture.cut_stacks > 0 {
        sentences.push(format!(
            "The inner frames of the {} smallest stacks were left out: there are too many different ones.",
            grouped(picture.cut_stacks as f64)
        ));
    }
    sentences
}

/// Says how the later profile differs from the earlier.
pub(crate) fn change(before: &Profile, after: &Profile, picture: &Picture, value: Value) -> Vec<String> {
    let (was, is) = (before.sum(value), after.sum(value));
    let is_bytes = value.is_bytes();
    let verb = if is >= was { "grew" } else { "shrank" };
    let mut sentences = vec![format!(
        "{} {verb} from {} to {} ({}{}). Widths are those of the later moment; red has grown, blue has shrunk.",
        upper_first(value.words()),
        shown(was, is_bytes),
        shown(is, is_bytes),
        if is >= was { "+" } else { "" },
        shown(is - was, is_bytes),
    )];
    if picture.gone_count > 0 {
        let largest = &picture.gone[0];
        let name = largest.path.last().map_or("", |name| &name.function);
        sentences.push(format!(
            "Gone: {} in {} paths that have nothing left and no width; the largest ends in {name} and had {}.",
            shown(picture.gone_value, is_bytes),
            grouped(picture.gone_count as f64),
            shown(largest.before, is_bytes),
        ));
    }
    sentences
}

pub(crate) fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
