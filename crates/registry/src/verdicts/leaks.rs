//! The leaks of one process: callsites that are judged together, because their stacks meet.
//!
//! A leak whose caller moves (code that is compiled again at run time), or that allocates in many places, grows evenly only as a sum.
//! Callsites are summed where they share their innermost frames, their outermost frames, a label, or the process. A sum is a leak
//! if it grows and the suspects below it do not explain its growth, or if they grow in a constant ratio, as one. It judges no series
//! itself (`verdict` does). Called by `verdicts`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::sum::sum;
use crate::history::Point;
use crate::source::Callsite;
use crate::verdict::{Judgement, Rate, Timeline, Verdict};

/// The part of a sum's growth that suspects below it have to explain, so that it is none itself.
const EXPLAINED: f64 = 0.7;
/// Samples by which a sum has to have grown lately to be judged at all, and how many seconds ago that begins.
const LEAST_RISE: u32 = 8;
const LATELY_SECONDS: f64 = 150.0;
/// Sums are judged once the history is this long, and labels and processes later: much happens in the first minutes.
const LEAST_SECONDS_OF_SUMS: f64 = 120.0;
const LEAST_SECONDS_OF_ALL: f64 = 300.0;
/// Pieces of time in which ratios are compared, and the mean square in errors that they may differ by.
const RATIO_PIECES: usize = 6;
const RATIO_SPREAD: f64 = 1.6;

/// The depth at which a leak is named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum LeakLevel {
    /// One stack and label.
    Callsite,
    /// All stacks with the same innermost frames.
    Stack,
    /// All stacks with the same outermost frames.
    Caller,
    /// All callsites of a label.
    Label,
    /// All callsites of the process.
    Process,
}

impl LeakLevel {
    /// The name in the column `leak_level`.
    pub fn name(self) -> &'static str {
        match self {
            LeakLevel::Callsite => "callsite",
            LeakLevel::Stack => "stack",
            LeakLevel::Caller => "caller",
            LeakLevel::Label => "label",
            LeakLevel::Process => "process",
        }
    }
}

/// Which leak of its process a callsite belongs to.
#[derive(Clone, PartialEq, Debug)]
pub struct LeakPlace {
    /// Number of the leak: that of the callsite, or a digest of what its callsites share.
    pub leak_id: u64,
    /// The depth at which it is named.
    pub level: LeakLevel,
    /// The frames of the callsite's stack that all its callsites share.
    pub frames: Range<usize>,
}

impl LeakPlace {
    /// The same leak in a stack of so many frames.
    pub(super) fn within(&self, depth: usize) -> LeakPlace {
        let shared = self.frames.len().min(depth);
        let frames = if self.level == LeakLevel::Caller { depth - shared..depth } else { 0..shared };
        LeakPlace { frames, ..self.clone() }
    }
}

/// A callsite with its history and what is said of it.
pub(super) struct Member<'a> {
    pub(super) callsite: &'a Callsite,
    pub(super) points: &'a [Point],
    /// The place of the callsite in the program itself, from the innermost frame: frames before it are in libraries.
    pub(super) program_frame: Option<usize>,
    pub(super) judgement: Judgement,
    pub(super) place: LeakPlace,
}

/// A sum that was judged.
pub(super) struct JudgedLeak {
    /// The leak; its frames are counted from the end of the stack that its callsites share.
    pub(super) place: LeakPlace,
    /// The judgement of this look alone.
    pub(super) seen: Judgement,
    pub(super) is_suspect: bool,
    /// The members by their places.
    pub(super) members: Vec<usize>,
}

/// Callsites that share something.
struct Group {
    place: LeakPlace,
    members: Vec<usize>,
    /// Growth of what is below counts as explained, however little it is.
    is_coarse: bool,
}

/// Judges the sums of a process's callsites, the deepest first, and gives the suspects among them to their callsites. `revise`
/// has the last word on each, by the number of the leak.
pub(super) fn judge(
    members: &mut [Member],
    timeline: &Timeline,
    revise: impl Fn(u64, Judgement) -> Judgement,
) -> Vec<JudgedLeak> {
    let mut judged = Vec::new();
    for group in groups(members, timeline) {
        let Group { place, members: mut of_group, is_coarse } = group;
        if is_coarse {
            of_group.retain(|&member| !members[member].judgement.is_suspect);
        }
        let seen = if of_group.len() < 2 { nothing() } else { look(members, &of_group, timeline) };
        let revised = revise(place.leak_id, seen.clone());
        if !seen.is_suspect && !revised.is_suspect {
            continue;
        }
        if revised.is_suspect {
            give(members, &of_group, &place, &revised);
        }
        judged.push(JudgedLeak { place, seen, is_suspect: revised.is_suspect, members: of_group });
    }
    judged
}

/// The judgement of one look on a sum.
fn look(members: &[Member], of_group: &[usize], timeline: &Timeline) -> Judgement {
    let points = sum(of_group.iter().map(|&member| members[member].points));
    let risen = rise(&points, timeline, LATELY_SECONDS);
    if risen < LEAST_RISE || one_explains(members, of_group, timeline) {
        return nothing();
    }
    let judgement = timeline.judge(&points);
    if !judgement.is_suspect {
        return judgement;
    }
    let below: Vec<usize> = of_group.iter().copied().filter(|&member| members[member].judgement.is_suspect).collect();
    let explained: f64 = below.iter().map(|&member| members[member].judgement.growth.per_minute).sum();
    let leaks = below.iter().map(|&member| members[member].place.leak_id).collect::<BTreeSet<_>>().len();
    if explained >= EXPLAINED * judgement.growth.per_minute && (leaks < 2 || !is_in_ratio(members, &below, timeline)) {
        return nothing();
    }
    let callsites = of_group.len();
    Judgement { why: format!("{} ({callsites} callsites together)", judgement.why), ..judgement }
}

/// Gives a leak to its callsites. Each has the part of the growth that its live bytes are of theirs.
fn give(members: &mut [Member], of_group: &[usize], place: &LeakPlace, judgement: &Judgement) {
    let bytes = |member: &Member| member.callsite.counters.est_bytes.value.max(0.0);
    let all: f64 = of_group.iter().map(|&member| bytes(&members[member])).sum();
    for &number in of_group {
        let member = &mut members[number];
        let share = if all > 0.0 { bytes(member) / all } else { 1.0 / of_group.len() as f64 };
        let mut own = judgement.clone();
        for rate in [&mut own.growth, &mut own.growth_count] {
            rate.per_minute *= share;
            // So that the errors of the parts add up to that of the whole, as roots of sums of squares.
            rate.error *= share.sqrt();
        }
        own.oldest_age = member.judgement.oldest_age;
        member.judgement = own;
        member.place = place.within(member.callsite.stack.len());
    }
}

fn nothing() -> Judgement {
    let why = "what it grows by is explained by what is below".to_owned();
    Judgement {
        verdict: Verdict::Steady,
        why,
        growth: Rate::default(),
        growth_count: Rate::default(),
        oldest_age: None,
        rank_key: 0.0,
        is_suspect: false,
    }
}

/// Samples by which there are more than so many seconds ago.
fn rise(points: &[Point], timeline: &Timeline, seconds: f64) -> u32 {
    let Some(last) = points.last() else { return 0 };
    let since = timeline.snapshot_before(seconds);
    let before = crate::history::as_of(points, since).map_or(0, |point| point.live_count);
    last.live_count.saturating_sub(before)
}

/// Whether one callsite has nearly all of the growth: then it is the leak, once enough is known of it, and not what it happens to
/// share with others, such as a function through which everything is allocated.
fn one_explains(members: &[Member], of_group: &[usize], timeline: &Timeline) -> bool {
    let seconds = (timeline.duration().as_secs_f64() / 2.0).max(LATELY_SECONDS);
    let rises = of_group.iter().map(|&member| f64::from(rise(members[member].points, timeline, seconds)));
    let largest = rises.clone().fold(0.0, f64::max);
    largest >= EXPLAINED * rises.sum::<f64>() && !members_grow(members, of_group)
}

/// Whether two members or more are suspects already.
fn members_grow(members: &[Member], of_group: &[usize]) -> bool {
    of_group.iter().filter(|&&member| members[member].judgement.is_suspect).count() >= 2
}

/// Suspects that grow in a constant ratio: in each piece of time each has its part of the growth, within chance.
fn is_in_ratio(members: &[Member], below: &[usize], timeline: &Timeline) -> bool {
    let cuts = timeline.cuts(RATIO_PIECES);
    let live = |member: usize, snapshot: u32| {
        crate::history::as_of(members[member].points, snapshot).map_or(0.0, |point| f64::from(point.live_count))
    };
    let growth = |member: usize| -> Vec<f64> {
        cuts.windows(2).map(|pair| live(member, pair[1]) - live(member, pair[0])).collect()
    };
    let all: Vec<Vec<f64>> = below.iter().map(|&member| growth(member)).collect();
    let pieces = cuts.len().saturating_sub(1);
    let of_piece: Vec<f64> = (0..pieces).map(|piece| all.iter().map(|one| one[piece]).sum()).collect();
    let whole: f64 = of_piece.iter().sum();
    if pieces < 3 || whole <= 0.0 {
        return false;
    }
    let mut square = 0.0;
    for one in &all {
        let part = one.iter().sum::<f64>() / whole;
        for (growth, together) in one.iter().zip(&of_piece) {
            square += (growth - part * together).powi(2) / (part * together).abs().max(1.0);
        }
    }
    square / ((all.len() - 1) * (pieces - 1)) as f64 <= RATIO_SPREAD
}

/// The sets of callsites that share something, the deepest first. Sets of the same callsites are one.
fn groups(members: &[Member], timeline: &Timeline) -> Vec<Group> {
    let moving: Vec<usize> = (0..members.len()).filter(|&member| members[member].points.len() > 1).collect();
    let mut groups = Vec::new();
    if timeline.duration().as_secs_f64() < LEAST_SECONDS_OF_SUMS {
        return groups;
    }
    let mut by_label: BTreeMap<(i64, i64, &str), Vec<usize>> = BTreeMap::new();
    for &member in &moving {
        let Callsite { tenant_id, ctx_id, label, .. } = members[member].callsite;
        by_label.entry((*tenant_id, *ctx_id, label)).or_default().push(member);
    }
    for (label, of_label) in &by_label {
        for level in [LeakLevel::Stack, LeakLevel::Caller] {
            shared_frames(members, of_label, level, label, &mut groups);
        }
    }
    // The deepest first: a stack before a caller, and more frames before fewer.
    groups.sort_by_key(|group| (group.place.level, std::cmp::Reverse(group.place.frames.len()), group.place.leak_id));
    if timeline.duration().as_secs_f64() >= LEAST_SECONDS_OF_ALL {
        let whole = |level, key: u64, members| Group {
            place: LeakPlace { leak_id: key, level, frames: 0..0 },
            members,
            is_coarse: true,
        };
        if by_label.len() > 1 {
            groups.extend(
                by_label
                    .iter()
                    .map(|(key, of)| whole(LeakLevel::Label, digest(LeakLevel::Label, key, &[]), of.clone())),
            );
        }
        groups.push(whole(LeakLevel::Process, digest(LeakLevel::Process, &(0, 0, ""), &[]), moving));
    }
    groups
}

/// The sets that share innermost frames, or outermost ones, and differ in the next.
fn shared_frames(
    members: &[Member],
    of_label: &[usize],
    level: LeakLevel,
    label: &(i64, i64, &str),
    groups: &mut Vec<Group>,
) {
    let frame = |member: usize, at: usize| {
        let stack = &members[member].callsite.stack;
        let place = if level == LeakLevel::Caller { stack.len().checked_sub(at + 1)? } else { at };
        stack.get(place).copied()
    };
    // What all callsites share on the outside is their trunk, and says nothing.
    let trunk = if level == LeakLevel::Caller { trunk(members) } else { 0 };
    let mut pending = vec![(of_label.to_vec(), 0)];
    while let Some((set, mut depth)) = pending.pop() {
        // As far as all of them go the same way.
        let first = set[0];
        while let Some(next) = frame(first, depth)
            && set.iter().all(|&member| frame(member, depth) == Some(next))
        {
            depth += 1;
        }
        // Frames that are all in libraries, such as those of an allocator, name no leak.
        let in_program = members[first].program_frame.is_some_and(|at| at < depth);
        if depth > trunk && (level == LeakLevel::Caller || in_program) {
            let frames: Vec<u64> = (0..depth).filter_map(|at| frame(first, at)).collect();
            groups.push(Group {
                place: LeakPlace { leak_id: digest(level, label, &frames), level, frames: 0..depth },
                members: set.clone(),
                is_coarse: false,
            });
        }
        let mut next: HashMap<u64, Vec<usize>> = HashMap::new();
        for &member in &set {
            if let Some(frame) = frame(member, depth) {
                next.entry(frame).or_default().push(member);
            }
        }
        pending.extend(next.into_values().filter(|set| set.len() > 1).map(|set| (set, depth)));
    }
}

/// The number of outermost frames that all callsites of the process share.
fn trunk(members: &[Member]) -> usize {
    let Some((first, others)) = members.split_first() else { return 0 };
    let shared = |other: &Member| {
        let pairs = first.callsite.stack.iter().rev().zip(other.callsite.stack.iter().rev());
        pairs.take_while(|(one, other)| one == other).count()
    };
    others.iter().map(shared).min().unwrap_or(0)
}

/// The number of a leak: no callsite has one with the highest bit. Files keep it, so every build has to find the same.
fn digest(level: LeakLevel, &(tenant_id, ctx_id, text): &(i64, i64, &str), frames: &[u64]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(level.name());
    hash.update(tenant_id.to_le_bytes());
    hash.update(ctx_id.to_le_bytes());
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
    frames.iter().for_each(|frame| hash.update(frame.to_le_bytes()));
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)) | 1 << 63
}

#[cfg(test)]
mod tests;
