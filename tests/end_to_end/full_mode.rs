//! Full mode is exact: what is live is in the table, what was freed is not.

use crate::harness::{Client, Launch, Program, Server};

/// Count and bytes of the objects of one size in the table: one pair per row.
///
/// Sizes tell the test's objects from the program's others: each test allocates sizes that nothing else has.
pub(crate) fn rows_of_size(client: &mut dyn Client, bytes: i64) -> Vec<(i64, i64)> {
    let answer = client.query(&format!(
        "SELECT alloc_count, alloc_bytes FROM __all_virtual_malloc_sample_info \
         WHERE mod_name = 'glibc_malloc' AND alloc_count > 0 AND alloc_bytes = alloc_count * {bytes}"
    ));
    answer.numbers("alloc_count").into_iter().zip(answer.numbers("alloc_bytes")).collect()
}

pub(crate) fn exact_program() -> Server {
    let server = Launch::run(Program::new("exact.c").path(), &[]).intervals(1, 1).start();
    assert!(server.ready() > 0);
    server
}

#[test]
fn every_function_counts_and_freed_objects_leave() {
    let kinds = [
        ("malloc", 1009),
        ("calloc", 1013),
        ("realloc", 1019),
        ("reallocarray", 1021),
        ("memalign", 1031),
        ("aligned_alloc", 1280),
        ("valloc", 1033),
        ("pvalloc", 12_288),
        ("strdup", 1039),
        ("posix_memalign", 1049),
    ];
    let mut server = exact_program();
    let mut client = server.mysql();
    for (nth, (kind, bytes)) in kinds.into_iter().enumerate() {
        let count = 100 + nth as i64;
        server.order(&format!("{kind} {count} {bytes}"));
        assert_eq!(rows_of_size(&mut client, bytes), [(count, count * bytes)], "{kind}");
    }
    for (nth, (kind, bytes)) in kinds.into_iter().enumerate() {
        let count = 100 + nth as i64;
        server.order(&format!("free {kind} 40"));
        assert_eq!(rows_of_size(&mut client, bytes), [(count - 40, (count - 40) * bytes)], "{kind} after 40 frees");
        server.order(&format!("free {kind} {count}"));
        assert_eq!(rows_of_size(&mut client, bytes), [], "{kind} after all frees");
    }
}

#[test]
fn many_objects_are_counted_without_loss() {
    let mut server = exact_program();
    let mut client = server.postgres();
    server.order("malloc 50000 137");
    assert_eq!(rows_of_size(&mut client, 137), [(50_000, 50_000 * 137)]);
    let losses = client.query("SELECT coalesce(sum(loss_count), 0) FROM heapql.processes WHERE command LIKE '%exact%'");
    assert_eq!(losses.number(), 0);
    server.order("free malloc 49999");
    assert_eq!(rows_of_size(&mut client, 137), [(1, 137)]);
}

#[test]
fn a_resized_object_is_a_new_one_of_the_resizing_stack() {
    let mut server = exact_program();
    let mut client = server.mysql();
    server.order("malloc 30 1009");
    let place = "SELECT back_trace FROM __all_virtual_malloc_sample_info WHERE alloc_bytes = 30 *";
    let before = client.query(&format!("{place} 1009")).value().to_owned();
    server.order("grow 30 5003");
    assert_eq!(rows_of_size(&mut client, 1009), []);
    assert_eq!(rows_of_size(&mut client, 5003), [(30, 30 * 5003)]);
    assert_ne!(client.query(&format!("{place} 5003")).value(), before);
    server.order("grow 30 211");
    assert_eq!(rows_of_size(&mut client, 5003), []);
    assert_eq!(rows_of_size(&mut client, 211), [(30, 30 * 211)]);
    server.order("free malloc 30");
    assert_eq!(rows_of_size(&mut client, 211), []);
}

#[test]
fn short_lived_objects_leave_no_row() {
    let mut server = exact_program();
    let mut client = server.mysql();
    server.order("churn 200000 1009");
    assert_eq!(rows_of_size(&mut client, 1009), []);
}

#[test]
fn operator_new_counts() {
    let mut server = Launch::run(Program::new("new.cpp").path(), &[]).intervals(1, 1).start();
    server.ready();
    let mut client = server.mysql();
    let sizes = [40, 1100, 1300, 384];
    for bytes in sizes {
        let (rows, total) = counted(&mut client, bytes, 100);
        assert_eq!((rows, total), (1, 100), "objects of {bytes} bytes");
    }
    server.order("");
    for bytes in sizes {
        assert_eq!(counted(&mut client, bytes, 100), (0, 0), "objects of {bytes} bytes after delete");
    }
}

/// Rows with exactly `count` objects of this size, and their objects: small sizes are not the test's alone.
fn counted(client: &mut dyn Client, bytes: i64, count: i64) -> (i64, i64) {
    let rows: Vec<_> = rows_of_size(client, bytes).into_iter().filter(|&(objects, _)| objects == count).collect();
    (rows.len() as i64, rows.iter().map(|&(objects, _)| objects).sum())
}

#[test]
fn threads_are_counted_together_also_when_they_are_gone() {
    let arguments = ["8", "500", "1009"];
    let mut server = Launch::run(Program::new("threads.c").path(), &arguments).intervals(1, 1).start();
    server.ready();
    let mut client = server.postgres();
    // One of eight threads on few processors may find a lock held by one that has none, and does not wait for it for ever:
    // what it leaves out it counts.
    let lost = lost(&mut client, "threads");
    assert!(lost < 40, "{lost}");
    let one_row_of = |client: &mut dyn Client, count: i64, when: &str| {
        let rows = rows_of_size(client, 1009);
        let [(objects, bytes)] = rows[..] else { panic!("{when}: {rows:?}") };
        assert!((count - lost..=count).contains(&objects) && bytes == objects * 1009, "{when}: {rows:?}, {lost} lost");
    };
    one_row_of(&mut client, 4000, "filled");
    server.order("");
    one_row_of(&mut client, 2000, "half freed by another thread");
    server.order("");
    one_row_of(&mut client, 2000, "the threads have ended");
}

/// Samples that a program has counted as not recorded.
fn lost(client: &mut dyn Client, program: &str) -> i64 {
    client.query(&format!("SELECT loss_count FROM heapql.processes WHERE program LIKE '%/{program}'")).number()
}

#[test]
fn libraries_that_are_unloaded_keep_their_rows() {
    let dir = crate::harness::scratch();
    let library = crate::harness::library(dir.path());
    let arguments = [library.to_str().expect("a path in UTF-8"), "5"];
    let server = Launch::run(Program::new("dlopen.c").path(), &arguments).intervals(1, 1).start();
    server.ready();
    let rows = rows_of_size(&mut server.mysql(), 4099);
    assert_eq!(rows.iter().map(|&(count, _)| count).sum::<i64>(), 50, "{rows:?}");
}

/// Where one was, the other comes to lie. A stack through one is never counted for the other.
#[test]
fn libraries_that_take_each_others_place_are_kept_apart() {
    let dir = crate::harness::scratch();
    let (one, other) = (crate::harness::library(dir.path()), crate::harness::other_library(dir.path()));
    let arguments = [one.to_str().expect("a path in UTF-8"), other.to_str().expect("a path in UTF-8"), "60"];
    let server = Launch::run(Program::new("dlopen.c").path(), &arguments).intervals(1, 1).start();
    server.ready();
    let mut client = server.mysql();
    for bytes in [4099, 4111] {
        let rows = rows_of_size(&mut client, bytes);
        assert_eq!(rows.iter().map(|&(count, _)| count).sum::<i64>(), 300, "{rows:?}");
    }
}

#[test]
fn a_library_that_comes_back_takes_no_more_of_the_ledger() {
    let dir = crate::harness::scratch();
    let library = crate::harness::library(dir.path());
    let callsites = |rounds| {
        let arguments = [library.to_str().expect("a path in UTF-8"), rounds];
        let server = Launch::run(Program::new("dlopen.c").path(), &arguments).intervals(1, 1).start();
        server.ready();
        let count = "SELECT count(*) FROM heapql.callsites WHERE label = 'glibc_malloc' AND sampled_total_count > 0";
        server.mysql().query(count).number()
    };
    let (few, many) = (callsites("20"), callsites("500"));
    assert!(many < few + 20, "{few} callsites after 20 rounds, {many} after 500");
}

#[test]
fn interpreters_are_recorded_unmodified() {
    // A bytes object is its contents and 33 bytes of its own.
    let script =
        "import sys; held = [bytes(100003) for _ in range(77)]; print('ready', flush=True); sys.stdin.readline()";
    let server = Launch::run("/usr/bin/env", &["python3", "-c", script]).intervals(1, 1).start();
    server.ready();
    let rows = rows_of_size(&mut server.mysql(), 100_036);
    assert_eq!(rows, [(77, 77 * 100_036)]);
}
