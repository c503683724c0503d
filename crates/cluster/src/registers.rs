//! What all servers of a cluster hold the same: who is a member, and the parameters that were set. Each is a register
//! whose last writer wins, so that servers may exchange them in any order, any number of times, and agree.
//!
//! Pure: no clock, no network, no file. `keeper` keeps one, `exchange` carries it.
//!
//! ```text
//! version = (counter, origin)     counter = max(1 + the greatest seen, milliseconds since 1970), origin = who set it
//! member  = present or deleted, and the version of its last deletion
//! setting = (name, all servers or one) -> value; one of a server that was deleted since is no more
//! ```
//!
//! All items of one statement have one version: two statements at once win or lose as a whole.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;

use heapql_server::parameters::Setting;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Deleted ones included.
pub(crate) const MAX_MEMBERS: usize = 1024;
const MAX_SETTINGS: usize = 4096;
const MAX_NAME_BYTES: usize = 64;
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Ordered by its counter, then by who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Version(u64, SocketAddr);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    version: Version,
    is_present: bool,
    /// Its last deletion: what was set for it until then is void.
    gone: Option<Version>,
}

/// Of all servers, or of one.
type Key = (String, Option<SocketAddr>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    version: Version,
    text: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(crate) struct Registers {
    members: BTreeMap<SocketAddr, Member>,
    settings: BTreeMap<Key, Value>,
}

impl Registers {
    /// Of a server that knows nobody yet. Whatever anybody has said of it is later than this.
    #[cfg(test)]
    pub(crate) fn of(here: SocketAddr) -> Registers {
        let mut registers = Registers::default();
        registers.introduce(here);
        registers
    }

    /// Makes a server a member unless something is known of it already.
    pub(crate) fn introduce(&mut self, server: SocketAddr) {
        let member = Member { version: Version(0, server), is_present: true, gone: None };
        self.members.entry(server).or_insert(member);
    }

    /// Later than everything here, for a change that `origin` makes now.
    pub(crate) fn next(&self, origin: SocketAddr, unix_millis: u64) -> Version {
        let members = self.members.values().map(|member| member.version.0);
        let settings = self.settings.values().map(|value| value.version.0);
        let greatest = members.chain(settings).max().unwrap_or_default();
        Version(greatest.saturating_add(1).max(unix_millis), origin)
    }

    pub(crate) fn is_present(&self, server: SocketAddr) -> bool {
        self.members.get(&server).is_some_and(|member| member.is_present)
    }

    /// In the order of their addresses.
    pub(crate) fn present(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.iter().filter(|(_, member)| member.is_present).map(|(address, _)| *address)
    }

    /// False when there is no room for it.
    pub(crate) fn add(&mut self, server: SocketAddr, version: Version) -> bool {
        self.take_member(server, &Member { version, is_present: true, gone: None })
    }

    pub(crate) fn delete(&mut self, server: SocketAddr, version: Version) {
        self.take_member(server, &Member { version, is_present: false, gone: Some(version) });
        self.drop_void();
    }

    /// False when there is no room for all of them; then none is set.
    pub(crate) fn set(&mut self, settings: &[Setting], only: Option<SocketAddr>, version: Version) -> bool {
        let key = |setting: &Setting| (setting.name.clone(), only);
        let fresh = settings.iter().filter(|setting| !self.settings.contains_key(&key(setting))).count();
        if self.settings.len() + fresh > MAX_SETTINGS {
            return false;
        }
        for setting in settings {
            self.take_setting(&key(setting), &Value { version, text: setting.value.clone() });
        }
        true
    }

    /// Takes what is later. The number of members that there was no room for.
    pub(crate) fn merge(&mut self, other: &Registers) -> usize {
        let taken = other.members.iter().filter(|(address, member)| self.take_member(**address, member)).count();
        for (key, value) in &other.settings {
            let is_room = self.settings.len() < MAX_SETTINGS || self.settings.contains_key(key);
            let is_of_member = key.1.is_none_or(|server| self.members.contains_key(&server));
            if is_room && is_of_member {
                self.take_setting(key, value);
            }
        }
        self.drop_void();
        other.members.len() - taken
    }

    fn take_member(&mut self, server: SocketAddr, other: &Member) -> bool {
        if self.members.len() >= MAX_MEMBERS && !self.members.contains_key(&server) && !self.make_room(other) {
            return false;
        }
        match self.members.entry(server) {
            Entry::Vacant(place) => {
                place.insert(other.clone());
            }
            Entry::Occupied(mut own) => {
                let own = own.get_mut();
                own.gone = own.gone.max(other.gone);
                (own.version, own.is_present) = (own.version, own.is_present).max((other.version, other.is_present));
            }
        }
        true
    }

    /// Somebody who was deleted longest ago makes room for somebody who was not.
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

    fn take_setting(&mut self, key: &Key, other: &Value) {
        match self.settings.get_mut(key) {
            // One version has one value, unless a server forgot what it had set: then any order will do.
            Some(own) if (own.version, &own.text) < (other.version, &other.text) => *own = other.clone(),
            Some(_) => {}
            None => {
                self.settings.insert(key.clone(), other.clone());
            }
        }
    }

    fn drop_void(&mut self) {
        let members = &self.members;
        self.settings.retain(|(_, only), value| {
            let gone = only.and_then(|server| members.get(&server)?.gone);
            gone.is_none_or(|gone| value.version > gone)
        });
    }

    /// What is in force at a server: what was set for all, or for it, whichever is later.
    pub(crate) fn effective(&self, here: SocketAddr) -> BTreeMap<&str, (Version, &str)> {
        let mut effective = BTreeMap::new();
        for ((name, only), value) in &self.settings {
            if only.is_none_or(|only| only == here) {
                let found = (value.version, value.text.as_str());
                let place = effective.entry(name.as_str()).or_insert(found);
                *place = found.max(*place);
            }
        }
        effective
    }

    /// The same for two that are equal, and for no others.
    pub(crate) fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// As it is sent and kept.
#[derive(Serialize, Deserialize)]
struct Written {
    members: Vec<WrittenMember>,
    settings: Vec<WrittenSetting>,
}

#[derive(Serialize, Deserialize)]
struct WrittenMember {
    address: SocketAddr,
    version: Version,
    present: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<Version>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSetting {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<SocketAddr>,
    version: Version,
    value: String,
}

impl From<Registers> for Written {
    fn from(registers: Registers) -> Written {
        let member = |(address, Member { version, is_present, gone })| WrittenMember {
            address,
            version,
            present: is_present,
            gone,
        };
        let setting = |((name, server), Value { version, text })| WrittenSetting { name, server, version, value: text };
        Written {
            members: registers.members.into_iter().map(member).collect(),
            settings: registers.settings.into_iter().map(setting).collect(),
        }
    }
}

impl TryFrom<Written> for Registers {
    type Error = String;

    fn try_from(written: Written) -> Result<Registers, String> {
        if written.members.len() > MAX_MEMBERS || written.settings.len() > MAX_SETTINGS {
            return Err(format!("more than {MAX_MEMBERS} members or {MAX_SETTINGS} settings"));
        }
        let mut registers = Registers::default();
        for WrittenMember { address, version, present, gone } in written.members {
            registers.members.insert(address, Member { version, is_present: present, gone });
        }
        for WrittenSetting { name, server, version, value } in written.settings {
            let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_name) {
                return Err(format!("a parameter cannot be named '{}'", name.escape_debug()));
            }
            if value.len() > MAX_VALUE_BYTES {
                return Err(format!("the value of '{name}' has more than {MAX_VALUE_BYTES} bytes"));
            }
            if let Some(server) = server.filter(|server| !registers.members.contains_key(server)) {
                return Err(format!("'{name}' is set for {server}, which is no member"));
            }
            registers.settings.insert((name, server), Value { version, text: value });
        }
        registers.drop_void();
        Ok(registers)
    }
}

#[cfg(test)]
mod tests;
