//! The heap as `heapql_profile` takes it: stacks with names and estimates, of some processes, now or at a past snapshot.
//!
//! Each server of a cluster makes its part; whoever is asked makes one profile of them (`merged`). It draws nothing and writes
//! no format. Called by the functions that do (`functions::pictures`), and by `calls` for other servers.

mod locations;
mod merged;
mod written;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use heapql_profile::{Profile, ProfileModule, Stack, Values};
use heapql_registry::{Callsite, Counters, Estimate, Point, ProcessKey, Snapshot, Source, SourceState};
use serde::{Deserialize, Serialize};

use crate::TableScope;
use crate::calls;
use crate::calls::Call;
use heapql_server::failure::{Failure, FailureKind, Warning};
use locations::LocationTable;

pub use written::ProfileRecord;

/// The allocations that a profile covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileFilter {
    /// On every server that has such a process. None: every process that is alive but the servers; if none is, those that
    /// have ended.
    pub pid: Option<i64>,
    /// Only callsites with this label.
    pub label: Option<String>,
    /// Also callsites of which nothing is live, for what was allocated in all.
    pub with_freed: bool,
    /// Processes become the outermost frames if there are several, and servers around them. pprof has labels for that.
    pub process_frames: bool,
}

/// One server's fragment of a profile, at one moment.
#[derive(Debug)]
pub struct ProfileFragment {
    taken_at: SystemTime,
    processes: Vec<Process>,
    /// They have ended: none here is alive, and none was asked for.
    is_of_ended: bool,
    /// How many others have ended, and were not asked for.
    ended: usize,
    /// Pid of the server, if its own heap is left out.
    server_pid: Option<u32>,
    /// Samples that were due and not recorded.
    lost: u64,
    modules: Vec<ProfileModule>,
    stacks: Vec<Stack>,
    errors: Values,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Process {
    pid: i64,
    command: String,
    intervals: Option<(u32, u32)>,
}

/// One profile for each moment: the name of a mark, a time, or now. Those who do not answer are missing, and it says so.
pub async fn profiles(
    scope: &Arc<TableScope>,
    wanted: &ProfileFilter,
    moments: Vec<Option<String>>,
) -> Result<Vec<Profile>, Failure> {
    let lost = |defect| Failure::new(FailureKind::Internal, format!("the profile could not be made: {defect}"));
    let here = {
        let (scope, wanted, moments) = (Arc::clone(scope), wanted.clone(), moments.clone());
        // It opens files: not on the threads that serve.
        tokio::task::spawn_blocking(move || parts(&scope, &wanted, &moments))
    };
    let (tenant, count) = (scope.tenant.id(), moments.len());
    let (here, others) = tokio::join!(here, async {
        match &scope.cluster_query {
            None => Ok(Vec::new()),
            Some(cluster_query) => {
                let call = Call::Profile { tenant, wanted: wanted.clone(), moments };
                calls::ask::<Vec<ProfileRecord>>(cluster_query, &call).await
            }
        }
    });
    let own = scope.server.address();
    let mut all: Vec<_> = here.map_err(lost)??.into_iter().map(|part| vec![(own, part)]).collect();
    for (member, written) in others? {
        let unreadable = written.iter().flat_map(ProfileRecord::warnings).map(|why| format!("server {member}: {why}"));
        unreadable.for_each(|why| scope.diagnostics.push(Warning::new(FailureKind::Query, why)));
        let parts: Option<Vec<ProfileFragment>> = written.into_iter().map(ProfileRecord::part).collect();
        match (parts.filter(|parts| parts.len() == count), &scope.cluster_query) {
            (Some(parts), _) => all.iter_mut().zip(parts).for_each(|(all, part)| all.push((member, part))),
            (None, Some(cluster_query)) => cluster_query.mark_missing(member, "its profile is of another version")?,
            (None, None) => {}
        }
    }
    let missing = scope.cluster_query.as_ref().map_or(Vec::new(), |cluster_query| cluster_query.missing());
    Ok(all.into_iter().map(|parts| merged::profile(parts, wanted, &missing)).collect())
}

/// This server's, for another.
pub fn written(
    scope: &TableScope,
    wanted: &ProfileFilter,
    moments: &[Option<String>],
) -> Result<Vec<ProfileRecord>, Failure> {
    let parts = parts(scope, wanted, moments)?;
    let warnings: Vec<String> = scope.diagnostics.list().into_iter().map(|warning| warning.message).collect();
    Ok(parts.iter().map(|part| ProfileRecord::new(part, &warnings)).collect())
}

fn parts(
    scope: &TableScope,
    wanted: &ProfileFilter,
    moments: &[Option<String>],
) -> Result<Vec<ProfileFragment>, Failure> {
    let snapshot = |moment: &Option<String>| moment.as_deref().map(|text| scope.server.moment(text)).transpose();
    let snapshots = moments.iter().map(snapshot).collect::<Result<Vec<_>, _>>()?;
    if let [Some(earlier), Some(later)] = &snapshots[..]
        && later.at < earlier.at
    {
        return Err(Failure::new(FailureKind::Query, "'to' is before 'from'").hint("the earlier moment comes first"));
    }
    Ok(snapshots.iter().map(|snapshot| part(scope, wanted, snapshot.as_deref())).collect())
}

fn part(scope: &TableScope, wanted: &ProfileFilter, at: Option<&Snapshot>) -> ProfileFragment {
    let Sources { chosen, is_of_ended, ended, server_pid } = wanted_sources(scope, wanted);
    let mut table = LocationTable::new(scope);
    let mut errors = Errors::default();
    let mut stacks = Vec::new();
    for (source, callsites) in &chosen {
        let points = at.map(|snapshot| scope.server.history().as_of(ProcessKey::of(source), snapshot));
        let command = source.command();
        let mut located = table.of(source);
        for callsite in callsites.iter().filter(|callsite| is_wanted(wanted, callsite)) {
            let Some(values) = errors.values(callsite, points.as_ref()) else { continue };
            let (label, command, server) = (Arc::clone(&callsite.label), Arc::clone(&command), "".into());
            let locations = located.stack(callsite);
            stacks.push(Stack { locations, label, server, pid: source.pid().into(), command, values });
        }
    }
    let unrecorded = chosen.iter().map(|(source, _)| source.unrecorded());
    ProfileFragment {
        taken_at: at.map_or_else(SystemTime::now, |snapshot| snapshot.at),
        processes: chosen.iter().map(|(source, _)| process(source)).collect(),
        is_of_ended,
        ended,
        server_pid,
        lost: unrecorded.fold(0, u64::saturating_add),
        modules: table.into_modules(),
        stacks,
        errors: errors.standard(),
    }
}

fn process(source: &Source) -> Process {
    Process {
        pid: source.pid().into(),
        command: source.command().to_string(),
        intervals: source.intervals().map(|both| (both.min, both.max)),
    }
}

struct Sources {
    chosen: Vec<(Arc<Source>, Vec<Callsite>)>,
    is_of_ended: bool,
    ended: usize,
    server_pid: Option<u32>,
}

fn wanted_sources(scope: &TableScope, wanted: &ProfileFilter) -> Sources {
    let is_wanted = |counters: &Counters| counters.live_count > 0 || (wanted.with_freed && counters.total_count > 0);
    let mut readable = scope.visible().callsites(|_| true, is_wanted);
    // In this order the error of the sum is exact.
    readable.iter_mut().for_each(|(_, callsites)| callsites.sort_by(|a, b| a.label.cmp(&b.label)));
    let pid = |source: &Source| i64::from(source.pid());
    if let Some(wanted) = wanted.pid {
        let chosen = readable.into_iter().filter(|(source, _)| pid(source) == wanted).collect();
        return Sources { chosen, is_of_ended: false, ended: 0, server_pid: None };
    }
    let all = readable.len();
    let others: Vec<_> = readable.into_iter().filter(|(source, _)| !source.is_own()).collect();
    let server_pid = (others.len() < all).then(std::process::id);
    let is_alive = |source: &Source| source.state() == SourceState::Alive;
    if others.iter().any(|(source, _)| is_alive(source)) {
        let all = others.len();
        let chosen: Vec<_> = others.into_iter().filter(|(source, _)| is_alive(source)).collect();
        let ended = all - chosen.len();
        return Sources { chosen, is_of_ended: false, ended, server_pid };
    }
    Sources { chosen: others, is_of_ended: true, ended: 0, server_pid }
}

fn is_wanted(wanted: &ProfileFilter, callsite: &Callsite) -> bool {
    wanted.label.as_deref().is_none_or(|label| label == &*callsite.label)
}

/// The sources of a sum's error: estimates of now, and variances of a snapshot.
#[derive(Default)]
struct Errors {
    count: Estimate,
    bytes: Estimate,
    count_variance: f64,
    bytes_variance: f64,
}

impl Errors {
    /// The values of a callsite now or then; none if it was not there.
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
