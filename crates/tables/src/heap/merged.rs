//! The parts of one or several servers as one profile.
//!
//! Files with the same build-id are one module, wherever they were loaded, and addresses are those in the file: so the same
//! code is the same place for all. The errors of independent estimates add up as squares.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use heapql_profile::{Frame, Location, Profile, ProfileModule, Stack, Values};

use super::Process;
use super::ProfileFilter;
use super::ProfileFragment;

pub(super) fn profile(
    mut parts: Vec<(SocketAddr, ProfileFragment)>,
    wanted: &ProfileFilter,
    missing: &[(SocketAddr, String)],
) -> Profile {
    leave_out_ended(&mut parts);
    let taken_at = parts.first().map_or(std::time::UNIX_EPOCH, |(_, part)| part.taken_at);
    let mut profile = Profile::new(title(&parts), taken_at);
    profile.intervals = intervals(&parts);
    profile.notes = notes(&parts, missing);
    profile.query = Some(query(&parts, wanted));
    let mut merging = Merger {
        has_processes: wanted.process_frames && processes(&parts).count() > 1,
        has_servers: taking_part(&parts) > 1,
        modules: HashMap::new(),
        profile,
    };
    for (server, part) in parts {
        merging.add(server, part);
    }
    merging.profile
}

/// Leaves out processes that have ended, unless none is alive anywhere.
fn leave_out_ended(parts: &mut [(SocketAddr, ProfileFragment)]) {
    if parts.iter().all(|(_, part)| part.is_of_ended || part.processes.is_empty()) {
        return;
    }
    for (_, part) in parts.iter_mut().filter(|(_, part)| part.is_of_ended) {
        part.ended += part.processes.len();
        (part.processes, part.stacks, part.modules) = Default::default();
        (part.errors, part.lost) = Default::default();
    }
}

fn processes(parts: &[(SocketAddr, ProfileFragment)]) -> impl Iterator<Item = &Process> {
    parts.iter().flat_map(|(_, part)| &part.processes)
}

fn taking_part(parts: &[(SocketAddr, ProfileFragment)]) -> usize {
    parts.iter().filter(|(_, part)| !part.processes.is_empty()).count()
}

struct Merger {
    /// Whether processes, and servers, are frames.
    has_processes: bool,
    has_servers: bool,
    modules: HashMap<ModuleKey, u32>,
    profile: Profile,
}

#[derive(PartialEq, Eq, Hash)]
enum ModuleKey {
    BuildId(String),
    /// A file that does not say which it is, where it was seen.
    Place(SocketAddr, String, u64),
}

impl Merger {
    fn add(&mut self, server: SocketAddr, part: ProfileFragment) {
        let modules: Vec<u32> = part.modules.into_iter().map(|module| self.module(server, module)).collect();
        let name: Arc<str> = if self.has_servers { server.to_string().into() } else { "".into() };
        // By address: the part's locations are shared between its stacks, and live until they all are moved.
        let mut moved: HashMap<*const Location, (Arc<Location>, Arc<Location>)> = HashMap::new();
        let mut roots: HashMap<(i64, Arc<str>), Vec<Arc<Location>>> = HashMap::new();
        for mut stack in part.stacks {
            for location in &mut stack.locations {
                let of = || {
                    let module = modules.get(location.module as usize).copied().unwrap_or(u32::MAX);
                    (Arc::clone(location), Arc::new(Location { module, ..Location::clone(location) }))
                };
                *location = Arc::clone(&moved.entry(Arc::as_ptr(location)).or_insert_with(of).1);
            }
            let roots =
                roots.entry((stack.pid, Arc::clone(&stack.command))).or_insert_with(|| self.roots(&name, &stack));
            stack.locations.extend(roots.iter().cloned());
            stack.server = Arc::clone(&name);
            self.profile.stacks.push(stack);
        }
        let errors = &mut self.profile.errors;
        *errors = Values {
            live_count: errors.live_count.hypot(part.errors.live_count),
            live_bytes: errors.live_bytes.hypot(part.errors.live_bytes),
            ..Values::default()
        };
    }

    fn module(&mut self, server: SocketAddr, module: ProfileModule) -> u32 {
        let key = match module.build_id.as_str() {
            "" => ModuleKey::Place(server, module.path.clone(), module.start),
            build_id => ModuleKey::BuildId(build_id.to_owned()),
        };
        let modules = &mut self.profile.modules;
        *self.modules.entry(key).or_insert_with(|| {
            modules.push(module);
            modules.len() as u32 - 1
        })
    }

    /// The frames around a stack, the process first.
    fn roots(&self, server: &str, stack: &Stack) -> Vec<Arc<Location>> {
        if !self.has_processes {
            return Vec::new();
        }
        let server = self.has_servers.then(|| format!("server {server}"));
        let frame = |function: String| {
            let frames = vec![Frame { function: function.into(), file: None, line: None, is_inline: false }];
            Arc::new(Location { module: u32::MAX, address: 0, frames })
        };
        [Some(words(&stack.command, stack.pid)), server].into_iter().flatten().map(frame).collect()
    }
}

fn words(command: &str, pid: i64) -> String {
    format!("{command} (pid {pid})")
}

fn title(parts: &[(SocketAddr, ProfileFragment)]) -> String {
    let mut all = processes(parts);
    match (all.next(), all.count(), taking_part(parts)) {
        (None, ..) => "no process".to_owned(),
        (Some(one), 0, _) => words(&one.command, one.pid),
        (_, others, 1) => format!("{} processes", others + 1),
        (_, others, servers) => format!("{} processes on {servers} servers", others + 1),
    }
}

/// If they are the same in all.
fn intervals(parts: &[(SocketAddr, ProfileFragment)]) -> Option<(u32, u32)> {
    let mut all = processes(parts).map(|process| process.intervals);
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

fn notes(parts: &[(SocketAddr, ProfileFragment)], missing: &[(SocketAddr, String)]) -> Vec<String> {
    let mut notes = Vec::new();
    let lacking = |(server, why): &(SocketAddr, String)| format!("Server {server} is missing: {why}.");
    notes.extend(missing.iter().map(lacking));
    if processes(parts).next().is_none() {
        notes.push("No recorded process was found; SELECT * FROM processes lists what there is, and why.".to_owned());
    }
    let ended: usize = parts.iter().map(|(_, part)| part.ended).sum();
    if ended > 0 {
        notes.push(format!("{ended} processes that have ended are left out; name one by its pid."));
    }
    let servers: Vec<u32> = parts.iter().filter_map(|(_, part)| part.server_pid).collect();
    match servers[..] {
        [] => {}
        [pid] => notes.push(format!("The server's own heap is left out; it is that of pid {pid}.")),
        _ => notes
            .push("The servers' own heaps are left out; SELECT pid FROM callsites WHERE is_server has them.".into()),
    }
    for (server, ProfileFragment { lost, .. }) in parts.iter().filter(|(_, part)| part.lost > 0) {
        let at = if parts.len() > 1 { format!("Server {server}: ") } else { String::new() };
        let what = "allocations that were due for a sample were not recorded; self_usage says why.";
        notes.push(format!("{at}{lost} {what}"));
    }
    notes
}

/// A statement with the same numbers in rows.
fn query(parts: &[(SocketAddr, ProfileFragment)], wanted: &ProfileFilter) -> String {
    let pids: Vec<_> = processes(parts).map(|process| process.pid.to_string()).collect();
    let is_of_ended = parts.iter().all(|(_, part)| part.is_of_ended || part.processes.is_empty());
    let of = match (parts, wanted.pid) {
        _ if pids.is_empty() => None,
        // Another server may have processes of the same pids.
        ([_, _, ..], None) => {
            Some(format!("NOT is_server AND state = '{}'", if is_of_ended { "dead" } else { "alive" }))
        }
        ([_, _, ..], Some(pid)) => Some(format!("pid = {pid}")),
        _ => Some(format!("pid IN ({})", pids.join(", "))),
    };
    let label = wanted.label.as_ref().map(|label| format!("label = '{}'", label.replace('\'', "''")));
    let conditions: Vec<_> = of.into_iter().chain(label).collect();
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("SELECT * FROM callsites{condition} ORDER BY est_bytes DESC LIMIT 20;")
}
