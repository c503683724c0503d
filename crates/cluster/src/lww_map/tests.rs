//! The laws of merging, on generated maps, and the effect of single statements. The exchange between servers is tested in `tests`.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn address(number: u8) -> SocketAddr {
    ([127, 0, 0, number], 2882).into()
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, u64, u8),
    Delete(u8, u64, u8),
    Set(u8, Option<u8>, u64, u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let (server, counter, origin) = (1..4u8, 0..8u64, 1..4u8);
    prop_oneof![
        (server.clone(), counter.clone(), origin.clone()).prop_map(|(a, b, c)| Step::Add(a, b, c)),
        (server.clone(), counter.clone(), origin.clone()).prop_map(|(a, b, c)| Step::Delete(a, b, c)),
        (0..3u8, proptest::option::of(server), counter, origin, 0..4u8)
            .prop_map(|(a, b, c, d, e)| Step::Set(a, b, c, d, e)),
    ]
}

/// Maps of servers that made different changes, some of them under the same version.
fn state() -> impl Strategy<Value = LwwMap> {
    vec(step(), 0..12).prop_map(|steps| {
        let mut map = LwwMap::default();
        (1..4).for_each(|server| map.introduce(address(server)));
        for step in steps {
            match step {
                Step::Add(server, counter, origin) => {
                    map.add(address(server), Version(counter, address(origin)));
                }
                Step::Delete(server, counter, origin) => {
                    map.delete(address(server), Version(counter, address(origin)));
                }
                Step::Set(name, only, counter, origin, value) => {
                    map.set(
                        &[(&format!("p{name}"), &value.to_string())],
                        only.map(address),
                        Version(counter, address(origin)),
                    );
                    map.drop_void_settings();
                }
            }
        }
        map
    })
}

fn merged(a: &LwwMap, b: &LwwMap) -> LwwMap {
    let mut merged = a.clone();
    merged.merge(b);
    merged
}

proptest! {
    #[test]
    fn the_order_of_two_does_not_matter(a in state(), b in state()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
    }

    #[test]
    fn the_order_of_three_does_not_matter(a in state(), b in state(), c in state()) {
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
    }

    #[test]
    fn twice_is_once(a in state(), b in state()) {
        let once = merged(&a, &b);
        prop_assert_eq!(merged(&once, &b), once.clone());
        prop_assert_eq!(merged(&once, &once), once);
    }

    #[test]
    fn written_and_read_is_the_same(a in state(), b in state()) {
        let text = serde_json::to_string(&a).expect("written");
        let read: LwwMap = serde_json::from_str(&text).expect("read");
        prop_assert_eq!(&read, &a);
        prop_assert_eq!(a.digest() == b.digest(), a == b);
    }

    #[test]
    fn what_is_set_next_is_what_holds(a in state(), b in state(), millis in 0..16u64) {
        let mut all = merged(&a, &b);
        let version = all.next(address(1), millis);
        all.set(&[("p0", "last")], None, version);
        for server in 1..4 {
            prop_assert_eq!(all.effective(address(server))["p0"].1, "last");
        }
    }

    #[test]
    fn two_statements_at_once_never_mix(first in 1..4u8, second in 1..4u8, millis in 0..16u64) {
        let start = LwwMap::of(address(1));
        let statement = |origin: u8, value: &str| {
            let mut after = start.clone();
            let version = after.next(address(origin), millis);
            after.set(&[("min", value), ("max", value)], None, version);
            after
        };
        let all = merged(&statement(first, "1"), &statement(second, "2"));
        let effective = all.effective(address(1));
        prop_assert_eq!(effective["min"].1, effective["max"].1);
    }

    #[test]
    fn no_bytes_are_trusted(bytes in vec(any::<u8>(), 0..200)) {
        let _ = serde_json::from_slice::<LwwMap>(&bytes);
    }
}

#[test]
fn what_is_for_one_server_is_in_force_there_until_something_later_is_for_all() {
    let mut map = LwwMap::of(address(1));
    map.introduce(address(2));
    let mut set = |value: &str, only: Option<u8>| {
        let version = map.next(address(1), 0);
        map.set(&[("p", value)], only.map(address), version);
        let value = |server| map.effective(address(server)).get("p").map(|(_, value)| (*value).to_owned());
        (value(1), value(2))
    };
    let pair = |one: &str, two: &str| (Some(one.to_owned()), Some(two.to_owned()));
    assert_eq!(set("all", None), pair("all", "all"));
    assert_eq!(set("two", Some(2)), pair("all", "two"));
    assert_eq!(set("again", None), pair("again", "again"));
}

#[test]
fn who_comes_back_has_nothing_of_its_own_any_more() {
    let mut map = LwwMap::of(address(1));
    map.introduce(address(2));
    let version = map.next(address(1), 0);
    map.set(&[("p", "two")], Some(address(2)), version);
    let before = map.clone();
    let version = map.next(address(1), 0);
    map.delete(address(2), version);
    assert!(!map.is_present(address(2)));
    // An introduction is older than every deletion.
    map.merge(&LwwMap::of(address(2)));
    assert!(!map.is_present(address(2)));
    let version = map.next(address(1), 0);
    assert!(map.add(address(2), version));
    map.merge(&before);
    assert!(map.is_present(address(2)) && map.effective(address(2)).is_empty());
}

#[test]
fn there_is_room_for_so_many() {
    let many = |number: usize| SocketAddr::from(([10, 0, 0, 1], u16::try_from(number + 1).expect("a port")));
    let mut map = LwwMap::default();
    for number in 0..MAX_MEMBERS {
        let version = map.next(address(1), 0);
        assert!(map.add(many(number), version));
    }
    let version = map.next(address(1), 0);
    assert!(!map.add(address(9), version));
    assert_eq!(map.merge(&LwwMap::of(address(9))), 1);
    map.delete(many(7), version);
    let version = map.next(address(1), 0);
    assert!(map.add(address(9), version), "who was deleted makes room");
    assert_eq!(map.members.len(), MAX_MEMBERS);
    let names: Vec<_> = (0..=MAX_SETTINGS).map(|number| format!("p{number}")).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert!(!map.set(&items, None, version));
    assert!(map.set(&items[1..], None, version));
}

#[test]
fn what_cannot_be_is_refused() {
    for text in [
        r#"{"members":[],"settings":[{"name":"P","version":[1,"127.0.0.1:1"],"value":"1"}]}"#,
        r#"{"members":[],"settings":[{"name":"","version":[1,"127.0.0.1:1"],"value":"1"}]}"#,
        r#"{"members":[],"settings":[{"name":"p","server":"127.0.0.1:1","version":[1,"127.0.0.1:1"],"value":"1"}]}"#,
        r#"{"members":[{"address":"nobody","version":[1,"127.0.0.1:1"],"present":true}],"settings":[]}"#,
        r#"{"members":[]}"#,
    ] {
        assert!(serde_json::from_str::<LwwMap>(text).is_err(), "{text}");
    }
}
