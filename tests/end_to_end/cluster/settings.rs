//! Parameters that are set at the same time, and by a server that is killed as soon as it has said OK.

use super::*;
use crate::harness::{Member, eventually};

const MAX: &str = "_max_malloc_sample_interval";

/// The values of every server, as one server reports them.
fn values(member: &Member) -> Vec<String> {
    let sql = format!("SELECT value FROM GV$OB_PARAMETERS WHERE name = '{MAX}' ORDER BY svr_ip, svr_port");
    member.postgres().query(&sql).column("value").into_iter().map(str::to_owned).collect()
}

#[test]
fn sets_at_the_same_time_converge() {
    let known = Known::start();
    let cluster = &known.cluster;
    std::thread::scope(|scope| {
        for number in 0..3 {
            let mut client = cluster.member(number).mysql();
            scope.spawn(move || {
                for round in 0..20 {
                    client.query(&format!("ALTER SYSTEM SET {MAX} = {}", 1000 * (number + 1) + round));
                }
            });
        }
    });
    let all = eventually("all servers to say the same of all", || {
        let all: Vec<Vec<String>> = cluster.members().iter().map(values).collect();
        let first = all[0][0].clone();
        all.iter().flatten().all(|value| *value == first).then_some(all)
    });
    assert_eq!(all, vec![vec![all[0][0].clone(); 3]; 3]);
    // The last of somebody's.
    assert!(["1019", "2019", "3019"].contains(&all[0][0].as_str()), "{all:?}");
    let sql = "SELECT DISTINCT max_interval FROM heapql.processes WHERE command LIKE '%exact%'";
    let mut client = cluster.member(1).postgres();
    eventually("the programs to follow", || (client.query(sql).rows == [[all[0][0].clone()]]).then_some(()));
}

#[test]
fn no_acknowledged_set_is_lost_when_its_server_is_killed() {
    let mut cluster = Cluster::of(3);
    for round in 0..6 {
        let number = round % 3;
        let value = 500 + round;
        cluster.member(number).mysql().query(&format!("ALTER SYSTEM SET {MAX} = {value}"));
        cluster.member_mut(number).kill();
        let value = value.to_string();
        for other in [(number + 1) % 3, (number + 2) % 3] {
            eventually(&format!("{value} on the others"), || {
                (values(cluster.member(other)) == vec![value.clone(); 2]).then_some(())
            });
        }
        cluster.member_mut(number).restart();
        cluster.settled();
        assert_eq!(values(cluster.member(number)), vec![value; 3]);
    }
}

/// The one that took it does not come back to tell.
#[test]
fn what_one_server_knew_two_know() {
    let mut cluster = Cluster::of(3);
    cluster.member_mut(2).kill();
    cluster.member(0).postgres().query(&format!("ALTER SYSTEM SET {MAX} = 777"));
    cluster.member_mut(0).kill();
    cluster.member_mut(2).restart();
    for number in 1..3 {
        eventually("both others to hold it", || (values(cluster.member(number)) == ["777", "777"]).then_some(()));
    }
}
