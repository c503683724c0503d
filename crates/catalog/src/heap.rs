//! The heap as `heapql_profile` takes it: stacks with names and estimates, of some processes, now or at a past snapshot.
//!
//! It draws nothing and writes no format. Called by the functions that do (`functions::pictures`).

mod places;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use heapql_profile::{Frame, Location, Profile, Stack, Values};
use heapql_registry::{Callsite, Estimate, Point, ProcessKey, Snapshot, Source, State};

use crate::tables::{Scope, sources};
use places::Places;

/// Of which allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// None: every process that is alive but this server; if none is, those that have ended.
    pub(crate) pid: Option<i64>,
    pub(crate) label: Option<String>,
    /// Also callsites of which nothing is live, for what was allocated in all.
    pub(crate) with_freed: bool,
    /// Processes become the outermost frames if there are several. pprof has labels for that.
    pub(crate) process_frames: bool,
}

/// At a snapshot, or now.
pub(crate) fn profile(scope: &Scope, wanted: &Wanted, at: Option<&Snapshot>) -> Profile {
    let sources = wanted_sources(scope, wanted);
    let mut profile = Profile::new(title(&sources.chosen), at.map_or_else(SystemTime::now, |snapshot| snapshot.at));
    profile.notes = notes(&sources);
    profile.intervals = intervals(&sources.chosen);
    profile.query = Some(query(wanted, &sources.chosen));
    let mut places = Places::new(scope);
    let mut errors = Errors::default();
    for (source, callsites) in &sources.chosen {
        let is_several = sources.chosen.len() > 1 && wanted.process_frames;
        let root = is_several.then(|| Arc::new(process_frame(source)));
        let points = at.map(|snapshot| scope.server.history().as_of(ProcessKey::of(source), snapshot));
        let command: Arc<str> = source.command().into();
        let mut located = places.of(source);
        for callsite in callsites.iter().filter(|callsite| is_wanted(scope, wanted, callsite)) {
            let Some(values) = errors.values(callsite, points.as_ref()) else { continue };
            let mut locations = located.stack(callsite);
            locations.extend(root.clone());
            let label = Arc::clone(&callsite.label);
            let command = Arc::clone(&command);
            profile.stacks.push(Stack { locations, label, pid: source.pid().into(), command, values });
        }
    }
    profile.modules = places.into_modules();
    profile.errors = errors.standard();
    profile
}

struct Sources {
    chosen: Vec<(Arc<Source>, Vec<Callsite>)>,
    /// Processes that have ended and were not asked for.
    ended: usize,
    leaves_out_server: bool,
}

fn wanted_sources(scope: &Scope, wanted: &Wanted) -> Sources {
    let mut readable = sources::readable_where(scope, |counters| {
        counters.live_count > 0 || (wanted.with_freed && counters.total_count > 0)
    });
    // In this order the error of the sum is exact.
    readable.iter_mut().for_each(|(_, callsites)| callsites.sort_by(|a, b| a.label.cmp(&b.label)));
    let pid = |source: &Source| i64::from(source.pid());
    let this = i64::from(std::process::id());
    if let Some(wanted) = wanted.pid {
        let chosen = readable.into_iter().filter(|(source, _)| pid(source) == wanted).collect();
        return Sources { chosen, ended: 0, leaves_out_server: false };
    }
    let all = readable.len();
    let others: Vec<_> = readable.into_iter().filter(|(source, _)| pid(source) != this).collect();
    let leaves_out_server = others.len() < all;
    let is_alive = |source: &Source| source.state() == State::Alive;
    if others.iter().any(|(source, _)| is_alive(source)) {
        let all = others.len();
        let chosen: Vec<_> = others.into_iter().filter(|(source, _)| is_alive(source)).collect();
        let ended = all - chosen.len();
        return Sources { chosen, ended, leaves_out_server };
    }
    Sources { chosen: others, ended: 0, leaves_out_server }
}

fn is_wanted(scope: &Scope, wanted: &Wanted, callsite: &Callsite) -> bool {
    scope.tenant.sees(callsite.tenant_id) && wanted.label.as_deref().is_none_or(|label| label == &*callsite.label)
}

/// What the errors of sums come from: now, and at a snapshot.
#[derive(Default)]
struct Errors {
    count: Estimate,
    bytes: Estimate,
    count_variance: f64,
    bytes_variance: f64,
}

impl Errors {
    /// What a callsite has, or had; none if it was not there.
    fn values(&mut self, callsite: &Callsite, points: Option<&HashMap<u64, Point>>) -> Option<Values> {
        let Some(points) = points else {
            let counters = &callsite.counters;
            self.count += counters.est_count;
            self.bytes += counters.est_bytes;
            return Some(Values {
                live_count: counters.est_count.value,
                live_bytes: counters.est_bytes.value,
                total_count: counters.est_total_count,
                total_bytes: counters.est_total_bytes,
            });
        };
        let point = points.get(&callsite.callsite_id)?;
        self.count_variance += f64::from(point.count_variance);
        self.bytes_variance += f64::from(point.bytes_variance);
        Some(Values {
            live_count: point.est_count.into(),
            live_bytes: point.est_bytes,
            total_count: point.est_total_count,
            // History does not keep it; no caller asks.
            total_bytes: 0.0,
        })
    }

    fn standard(&self) -> Values {
        Values {
            live_count: self.count.error().hypot(self.count_variance.sqrt()),
            live_bytes: self.bytes.error().hypot(self.bytes_variance.sqrt()),
            ..Values::default()
        }
    }
}

fn title(chosen: &[(Arc<Source>, Vec<Callsite>)]) -> String {
    match chosen {
        [] => "no process".to_owned(),
        [(source, _)] => process(source),
        several => format!("{} processes", several.len()),
    }
}

fn process(source: &Source) -> String {
    format!("{} (pid {})", source.command(), source.pid())
}

fn process_frame(source: &Source) -> Location {
    let function = process(source).into();
    Location {
        module: u32::MAX,
        address: 0,
        frames: vec![Frame { function, file: None, line: None, is_inline: false }],
    }
}

/// If they are the same in all.
fn intervals(chosen: &[(Arc<Source>, Vec<Callsite>)]) -> Option<(u32, u32)> {
    let mut all = chosen.iter().map(|(source, _)| source.intervals().map(|both| (both.min, both.max)));
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

fn notes(sources: &Sources) -> Vec<String> {
    let mut notes = Vec::new();
    if sources.chosen.is_empty() {
        notes.push("No recorded process was found; SELECT * FROM processes lists what there is, and why.".to_owned());
    }
    if sources.ended > 0 {
        notes.push(format!("{} processes that have ended are left out; name one by its pid.", sources.ended));
    }
    if sources.leaves_out_server {
        notes.push(format!("The server's own heap is left out; it is that of pid {}.", std::process::id()));
    }
    let losses = sources.chosen.iter().flat_map(|(source, _)| source.losses()).map(|(_, count)| count);
    let lost = losses.fold(0, u64::saturating_add);
    if lost > 0 {
        notes.push(format!("{lost} allocations that were due for a sample were not recorded; self_usage says why."));
    }
    notes
}

/// A statement with the same numbers in rows.
fn query(wanted: &Wanted, chosen: &[(Arc<Source>, Vec<Callsite>)]) -> String {
    let pids: Vec<_> = chosen.iter().map(|(source, _)| source.pid().to_string()).collect();
    let pid = (!pids.is_empty()).then(|| format!("pid IN ({})", pids.join(", ")));
    let label = wanted.label.as_ref().map(|label| format!("label = '{}'", label.replace('\'', "''")));
    let conditions: Vec<_> = pid.into_iter().chain(label).collect();
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("SELECT * FROM callsites{condition} ORDER BY est_bytes DESC LIMIT 20;")
}
