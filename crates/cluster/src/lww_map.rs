//! A map of last-writer-wins registers: the members of a cluster and the parameters that were set. Merging is commutative,
//! associative and idempotent, so servers that exchange maps in any order agree.
//!
//! Pure: no clock, no network, no file. `replicated_config` stores one, `exchange` sends it.
//!
//! ```text
//! version = (counter, origin)     counter = max(1 + greatest counter seen, milliseconds since 1970); origin = server that set it
//! member  = present or deleted, and the version of its last deletion
//! setting = (name, all servers or one) -> value; a deletion voids the earlier settings of that server
//! ```
//!
//! Names and values are texts here, because a newer server may have set what this version does not know, and it must reach the others.
//! `Server::adopt` makes settings of them. All items of one statement have one version, so of two concurrent statements one wins as a whole.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;

use heapql_server::symbols::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Maximum number of members, deleted ones included.
pub(crate) const MAX_MEMBERS: usize = 1024;
const MAX_SETTINGS: usize = 4096;
const MAX_NAME_BYTES: usize = 64;
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Versions are ordered by counter, then by origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Version(u64, SocketAddr);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    version: Version,
    is_present: bool,
    /// Version of its last deletion. Settings of this server up to that version are void.
    gone: Option<Version>,
}

/// Parameter name, and the one server that it is set for. None stands for all servers.
type Key = (String, Option<SocketAddr>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Register {
    version: Version,
    value: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LwwMapRecord", into = "LwwMapRecord")]
pub(crate) struct LwwMap {
    members: BTreeMap<SocketAddr, Member>,
    settings: BTreeMap<Key, Register>,
}

impl LwwMap {
    /// The map of a server that knows no other. Every statement about the server is later than this introduction.
    #[cfg(test)]
    pub(crate) fn of(here: SocketAddr) -> LwwMap {
        let mut map = LwwMap::default();
        map.introduce(here);
        map
    }

    /// Makes a server a member unless the map has an entry for it.
    pub(crate) fn introduce(&mut self, server: SocketAddr) {
        let member = Member { version: Version(0, server), is_present: true, gone: None };
        self.members.entry(server).or_insert(member);
    }

    /// A version later than all in the map, for a change that `origin` makes now.
    pub(crate) fn next(&self, origin: SocketAddr, unix_millis: u64) -> Version {
        let members = self.members.values().map(|member| member.version.0);
        let settings = self.settings.values().map(|register| register.version.0);
        let greatest = members.chain(settings).max().unwrap_or_default();
        Version(greatest.saturating_add(1).max(unix_millis), origin)
    }

    pub(crate) fn is_present(&self, server: SocketAddr) -> bool {
        self.members.get(&server).is_some_and(|member| member.is_present)
    }

    /// Members that are present, ordered by address.
    pub(crate) fn present(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.iter().filter(|(_, member)| member.is_present).map(|(address, _)| *address)
    }

    /// Adds a member. Returns false when there is no room for it.
    pub(crate) fn add(&mut self, server: SocketAddr, version: Version) -> bool {
        self.merge_member(server, &Member { version, is_present: true, gone: None })
    }

    pub(crate) fn delete(&mut self, server: SocketAddr, version: Version) {
        self.merge_member(server, &Member { version, is_present: false, gone: Some(version) });
        self.drop_void_settings();
    }

    /// Sets names to values. Returns false, and sets none, when there is no room for all of them.
    pub(crate) fn set(&mut self, settings: &[(&str, &str)], only: Option<SocketAddr>, version: Version) -> bool {
        let key = |name: &str| (name.to_owned(), only);
        let fresh = settings.iter().filter(|(name, _)| !self.settings.contains_key(&key(name))).count();
        if self.settings.len() + fresh > MAX_SETTINGS {
            return false;
        }
        for (name, value) in settings {
            self.merge_setting(&key(name), &Register { version, value: (*value).to_owned() });
        }
        true
    }

    /// Takes over every later entry. Returns the number of members that there was no room for.
    pub(crate) fn merge(&mut self, other: &LwwMap) -> usize {
        let taken = other.members.iter().filter(|(address, member)| self.merge_member(**address, member)).count();
        for (key, register) in &other.settings {
            let is_room = self.settings.len() < MAX_SETTINGS || self.settings.contains_key(key);
            let has_member = key.1.is_none_or(|server| self.members.contains_key(&server));
            if is_room && has_member {
                self.merge_setting(key, register);
            }
        }
        self.drop_void_settings();
        other.members.len() - taken
    }

    fn merge_member(&mut self, server: SocketAddr, other: &Member) -> bool {
        if self.members.len() >= MAX_MEMBERS && !self.members.contains_key(&server) && !self.make_room(other) {
            return false;
        }
        match self.members.entry(server) {
            Entry::Vacant(vacant) => {
                vacant.insert(other.clone());
            }
            Entry::Occupied(mut own) => {
                let own = own.get_mut();
                own.gone = own.gone.max(other.gone);
                (own.version, own.is_present) = (own.version, own.is_present).max((other.version, other.is_present));
            }
        }
        true
    }

    /// Removes the member that was deleted longest ago, if `other` is not deleted itself.
    fn make_room(&mut self, other: &Member) -> bool {
        let gone = self.members.iter().filter(|(_, member)| !member.is_present);
        let oldest = gone.min_by_key(|(_, member)| member.version).map(|(address, _)| *address);
        match oldest {
            Some(oldest) if other.is_present => {
                self.members.remove(&oldest);
                self.settings.retain(|(_, only), _| *only != Some(oldest));
                true
            }
            _ => false,
        }
    }

    fn merge_setting(&mut self, key: &Key, other: &Register) {
        match self.settings.get_mut(key) {
            // One version has one value, unless a server lost its file after it had set one. Then any fixed order will do.
            Some(own) if (own.version, &own.value) < (other.version, &other.value) => *own = other.clone(),
            Some(_) => {}
            None => {
                self.settings.insert(key.clone(), other.clone());
            }
        }
    }

    /// Drops the settings of a server that are not later than its last deletion.
    fn drop_void_settings(&mut self) {
        let members = &self.members;
        self.settings.retain(|(_, only), register| {
            let gone = only.and_then(|server| members.get(&server)?.gone);
            gone.is_none_or(|gone| register.version > gone)
        });
    }

    /// The settings in force on a server. Of a setting for all servers and one for this server, the later one wins.
    pub(crate) fn effective(&self, here: SocketAddr) -> BTreeMap<&str, (Version, &str)> {
        let mut effective = BTreeMap::new();
        for ((name, only), register) in &self.settings {
            if only.is_none_or(|only| only == here) {
                let found = (register.version, register.value.as_str());
                let latest = effective.entry(name.as_str()).or_insert(found);
                *latest = found.max(*latest);
            }
        }
        effective
    }

    /// A digest that is equal for equal maps only.
    pub(crate) fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        hex(&Sha256::digest(text)[..16])
    }
}

/// The form of a map on the wire and on the disk.
#[derive(Serialize, Deserialize)]
struct LwwMapRecord {
    members: Vec<MemberRecord>,
    settings: Vec<SettingRecord>,
}

#[derive(Serialize, Deserialize)]
struct MemberRecord {
    address: SocketAddr,
    version: Version,
    present: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<Version>,
}

#[derive(Serialize, Deserialize)]
struct SettingRecord {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<SocketAddr>,
    version: Version,
    value: String,
}

impl From<LwwMap> for LwwMapRecord {
    fn from(map: LwwMap) -> LwwMapRecord {
        let member = |(address, Member { version, is_present, gone })| MemberRecord {
            address,
            version,
            present: is_present,
            gone,
        };
        let setting = |((name, server), Register { version, value })| SettingRecord { name, server, version, value };
        LwwMapRecord {
            members: map.members.into_iter().map(member).collect(),
            settings: map.settings.into_iter().map(setting).collect(),
        }
    }
}

impl TryFrom<LwwMapRecord> for LwwMap {
    type Error = String;

    fn try_from(record: LwwMapRecord) -> Result<LwwMap, String> {
        if record.members.len() > MAX_MEMBERS || record.settings.len() > MAX_SETTINGS {
            return Err(format!("more than {MAX_MEMBERS} members or {MAX_SETTINGS} settings"));
        }
        let mut map = LwwMap::default();
        for MemberRecord { address, version, present, gone } in record.members {
            map.members.insert(address, Member { version, is_present: present, gone });
        }
        for SettingRecord { name, server, version, value } in record.settings {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_name) {
                return Err(format!("a parameter cannot be named '{}'", name.escape_debug()));
            }
            if value.len() > MAX_VALUE_BYTES {
                return Err(format!("the value of '{name}' has more than {MAX_VALUE_BYTES} bytes"));
            }
            if let Some(server) = server.filter(|server| !map.members.contains_key(server)) {
                return Err(format!("'{name}' is set for {server}, which is no member"));
            }
            map.settings.insert((name, server), Register { version, value });
        }
        map.drop_void_settings();
        Ok(map)
    }
}

#[cfg(test)]
mod tests;
