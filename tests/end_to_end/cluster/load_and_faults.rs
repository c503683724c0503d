//! Eight clients ask three servers all the time while one of them is killed and one is stopped, and both come back. Every
//! answer is right for the servers that it does not say it lacks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::*;
use crate::harness::{Endpoints, Login, Mysql, Postgres, eventually};

const CLIENTS: usize = 8;

/// The state that the clients share.
struct Storm {
    held: Vec<(String, i64)>,
    endpoints: Mutex<Vec<Endpoints>>,
    is_over: AtomicBool,
    /// The number of answers that lacked these servers.
    seen: Mutex<BTreeMap<Vec<String>, usize>>,
}

impl Storm {
    /// Asks one server until the storm is over, by a new connection when the server was killed.
    fn client(&self, number: usize) {
        let kinds = Ask::ALL.iter().copied().cycle().skip(number);
        let mut client = None;
        for kind in kinds.take_while(|_| !self.is_over.load(Relaxed)) {
            if client.is_none() {
                client = self.connect(number);
            }
            let Some(connected) = client.as_deref_mut() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            match try_ask(&self.held, connected, kind) {
                Ok(missing) => *self.seen.lock().expect("nothing panics with it").entry(missing).or_default() += 1,
                Err(error) => {
                    assert!(error.number.is_none() && error.state.is_empty(), "{error}");
                    client = None;
                }
            }
        }
    }

    fn connect(&self, number: usize) -> Option<Box<dyn Client>> {
        let endpoints = self.endpoints.lock().expect("nothing panics with it")[number % 3].clone();
        if number < CLIENTS / 2 {
            Some(Box::new(Mysql::connect(&endpoints.mysql, &Login::root()).ok()?))
        } else {
            Some(Box::new(Postgres::connect(&endpoints.postgres, &Login::root()).ok()?))
        }
    }

    /// Waits for some answers that lack these servers and no others.
    fn passes(&self, missing: &[&str]) {
        let missing: Vec<String> = missing.iter().map(|address| address.to_string()).collect();
        let count = || self.seen.lock().expect("nothing panics with it").get(&missing).copied().unwrap_or(0);
        let before = count();
        eventually(&format!("answers without {missing:?}"), || (count() >= before + 20).then_some(()));
    }
}

#[test]
fn every_answer_in_a_storm_is_right_or_says_what_it_lacks() {
    let Known { mut cluster, held, _programs } = Known::start();
    cluster.member(0).mysql().query("ALTER SYSTEM SET _cluster_timeout = 1500");
    let endpoints = cluster.members().iter().map(|member| member.server().endpoints.clone()).collect();
    let (is_over, seen) = (AtomicBool::new(false), Mutex::default());
    let storm = Storm { held, endpoints: Mutex::new(endpoints), is_over, seen };
    let (second, third) = (storm.held[1].0.as_str(), storm.held[2].0.as_str());
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let storm = &storm;
                    move || storm.client(number)
                })
            })
            .collect();
        // Whatever fails here, the clients end.
        let over = Over(&storm.is_over);
        storm.passes(&[]);
        cluster.member(2).stop();
        storm.passes(&[third]);
        cluster.member_mut(1).kill();
        storm.passes(&[second, third]);
        cluster.member(2).resume();
        storm.passes(&[second]);
        cluster.member_mut(1).restart();
        storm.endpoints.lock().expect("nothing panics with it")[1] = cluster.member(1).server().endpoints.clone();
        cluster.settled();
        storm.passes(&[]);
        drop(over);
        for client in clients {
            client.join().expect("every answer was right");
        }
    });
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
