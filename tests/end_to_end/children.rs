//! Children of a recorded program are recorded, each with a ledger of its own.

use crate::full_mode::rows_of_size;
use crate::harness::{Client, Ended, Launch, Program};

#[test]
fn forked_and_execed_children_have_their_own_samples() {
    let mut server = Launch::run(Program::new("children.c").path(), &[]).intervals(1, 1).start();
    assert_eq!(server.hear(), "ready 0", "the status of the child between vfork and exec");
    let mut client = server.mysql();
    assert_eq!(rows_of_size(&mut client, 1009), [(100, 100 * 1009)], "the parent's, whatever the child freed");
    assert_eq!(rows_of_size(&mut client, 2003), [(100, 100 * 2003)], "the forked children's, in one row");
    assert_eq!(rows_of_size(&mut client, 3001), [(30, 30 * 3001)], "the execed child's");
    assert_eq!(live_processes(&mut client), 4);

    server.say("");
    assert_eq!(server.hear(), "ended 21 21 22");
    assert_eq!(live_processes(&mut client), 1);
    assert_eq!(rows_of_size(&mut client, 1009), [(100, 100 * 1009)]);
    assert_eq!(server.wait(), Ended::Status(5));
}

fn live_processes(client: &mut dyn Client) -> i64 {
    client
        .query("SELECT count(DISTINCT pid) FROM heapql.processes WHERE state = 'alive' AND program LIKE '%/children'")
        .number()
}

#[test]
fn a_childs_parent_is_known() {
    let server = Launch::run(Program::new("children.c").path(), &[]).intervals(1, 1).start();
    server.hear();
    let answer = server.postgres().query(
        "SELECT count(*) FROM heapql.processes AS child JOIN heapql.processes AS parent ON child.parent_pid = parent.pid \
         WHERE child.state = 'alive' AND parent.state = 'alive' AND child.program LIKE '%/children' \
         AND parent.program LIKE '%/children'",
    );
    assert_eq!(answer.number(), 3);
}

#[test]
fn every_process_of_a_shell_pipeline_is_seen() {
    let script = "cat | cat | cat; echo over";
    let mut server = Launch::run("/bin/sh", &["-c", script]).intervals(1, 1).start();
    let mut client = server.mysql();
    crate::harness::eventually("three processes of cat", || {
        let sql = "SELECT count(*) FROM heapql.processes WHERE state = 'alive' AND program LIKE '%/cat'";
        (client.query(sql).number() == 3).then_some(())
    });
    server.say("through");
    server.close_input();
    assert_eq!(server.hear(), "through");
    assert_eq!(server.hear(), "over");
    assert_eq!(server.wait(), Ended::Status(0));
}
