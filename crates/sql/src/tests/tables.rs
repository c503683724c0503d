//! The tables' rows, pushdown and notes.

use heapql_ledger::LabelId;

use super::Answer;
use super::House;
use super::ledger::GLIBC;
use super::ledger::Recorded;

const SMALL: usize = 4 << 20;

#[tokio::test]
async fn the_query_of_the_example() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), SMALL);
    process.live(&GLIBC, &[0x10, 0x20], 3, 100);
    process.live(&GLIBC, &(1..=40).collect::<Vec<_>>(), 1, 5000);
    process.live(&LabelId { tenant_id: 1001, ctx_id: 0, text: b"other" }, &[0x30], 1, 9000);
    let freed = process.live(&GLIBC, &[0x40], 1, 7);
    process.free(freed, 7);
    let example = "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' \
                ORDER BY alloc_bytes DESC limit 10";
    for client in [house.mysql(), house.postgres()] {
        let Answer { headings, rows } = client.ask(example).await.expect("answers");
        let documented = ["svr_ip", "svr_port", "tenant_id", "ctx_id", "mod_name", "back_trace", "ctx_name"];
        assert_eq!(headings[..7], documented);
        assert_eq!(headings[7..], ["alloc_count", "alloc_bytes"]);
        let deep: Vec<_> = (1..=16).map(|frame| format!("{frame:#x}")).collect();
        assert_eq!(rows[0][..6], ["127.0.0.1", "2882", "500", "22", "glibc_malloc", &deep.join(" ")]);
        assert_eq!(rows[0][6..], ["GLIBC", "1", "5000"]);
        assert_eq!(rows[1][5], format!("0x10 0x20{}", " 0x0".repeat(14)));
        assert_eq!(rows[1][7..], ["3", "300"]);
        assert_eq!(rows.len(), 2);
        assert_eq!(client.session.warnings(), []);
    }
}

#[tokio::test]
async fn processes_of_one_program_are_summed() {
    let house = House::new();
    let (one, two) = (Recorded::new(house.folder.path(), SMALL), Recorded::new(house.folder.path(), SMALL));
    one.live(&GLIBC, &[0x10], 2, 8);
    two.live(&GLIBC, &[0x10], 3, 8);
    two.live(&GLIBC, &[0x11], 1, 8);
    let client = house.mysql();
    let rows = client.rows("select alloc_count, alloc_bytes from __all_virtual_malloc_sample_info order by 1").await;
    assert_eq!(rows, [["1", "8"], ["5", "40"]]);
    assert_eq!(client.one("select count(*) from heapql.callsites").await, "3");
    let rows = client.rows("select state, why, sampled_live_count, callsite_count from processes order by 3").await;
    assert_eq!(rows, [["alive", "NULL", "2", "1"], ["alive", "NULL", "4", "2"]]);
    assert_ne!(client.one("select count(*) from self_usage where name like 'loss%'").await, "0");
}

#[tokio::test]
async fn filters_and_columns_are_pushed() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), SMALL);
    process.live(&GLIBC, &[0x10], 2, 8);
    process.live(&LabelId { tenant_id: 1001, ctx_id: 0, text: b"other" }, &[0x30], 1, 9);
    let client = house.mysql();
    let query =
        "from __all_virtual_malloc_sample_info where tenant_id = 1001 and mod_name = 'other' and alloc_bytes > 1";
    let plan = client.rows(&format!("explain select alloc_bytes {query}")).await;
    let plan = &plan.iter().find(|row| row[0] == "physical_plan").expect("a physical plan")[1];
    for part in
        ["filters=[tenant_id = 1001, mod_name = 'other']", "projection=[alloc_bytes]", "FilterExec: alloc_bytes"]
    {
        assert!(plan.contains(part), "{part} in {plan}");
    }
    assert_eq!(client.one(&format!("select alloc_bytes {query}")).await, "9");
    assert_eq!(client.one("select count(*) from __all_virtual_malloc_sample_info where svr_port = 1").await, "0");
    assert_eq!(client.one("select count(*) from __all_virtual_malloc_sample_info where svr_port = 2882").await, "2");
    assert_eq!(client.rows("select ctx_name from __all_virtual_malloc_sample_info limit 1").await.len(), 1);
}

#[tokio::test]
async fn the_scan_orders_by_itself() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), SMALL);
    for (stack, bytes) in [(1, 5), (2, 50), (3, 7), (4, 1), (5, 50)] {
        process.live(&GLIBC, &[stack], 1, bytes);
    }
    let client = house.mysql();
    let query = "select alloc_bytes from __all_virtual_malloc_sample_info where mod_name = 'glibc_malloc'";
    let plan = client.rows(&format!("explain select * from ({query} order by alloc_bytes desc limit 3) t")).await;
    let plan = &plan.iter().find(|row| row[0] == "physical_plan").expect("a physical plan")[1];
    assert!(plan.contains("order=alloc_bytes desc, limit=3") && !plan.contains("Sort"), "{plan}");
    assert_eq!(client.rows(&format!("{query} order by alloc_bytes desc limit 3")).await, [["50"], ["50"], ["7"]]);
    assert_eq!(client.rows(&format!("{query} order by alloc_bytes limit 2")).await, [["1"], ["5"]]);
    assert_eq!(client.rows(&format!("{query} order by 1 limit 1, 2")).await, [["5"], ["7"]]);
    assert_eq!(client.rows(&format!("{query} and alloc_bytes < 50 order by 1 desc limit 2")).await, [["7"], ["5"]]);
    assert_eq!(client.rows(&format!("{query} order by alloc_bytes")).await.len(), 5);
    let both = "select alloc_count, alloc_bytes from __all_virtual_malloc_sample_info order by 1, 2 desc limit 1";
    assert_eq!(client.rows(both).await, [["1", "50"]]);
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), SMALL);
    process.live(&GLIBC, &[1], 1, 1);
    process.live(&LabelId { tenant_id: 1001, ctx_id: 0, text: b"own" }, &[2], 1, 2);
    let mut client = house.mysql();
    std::sync::Arc::get_mut(&mut client.session).expect("one owner").become_tenant("1001");
    assert_eq!(client.rows("select mod_name from __all_virtual_malloc_sample_info").await, [["own"]]);
    assert_eq!(client.rows("select label from callsites").await, [["own"]]);
    for table in ["processes", "self_usage"] {
        assert!(client.rows(&format!("select * from {table}")).await.is_empty(), "{table}");
    }
    assert!(client.rows("show processlist").await.is_empty());
    let kind = client.refused("alter system set _min_malloc_sample_interval = 5").await;
    assert_eq!(kind, heapql_server::FailureKind::UnknownParameter);
}

#[tokio::test]
async fn zero_rows_say_why() {
    let house = House::new();
    let client = house.mysql();
    let note = async |part: &str| {
        assert!(client.rows("select * from __all_virtual_malloc_sample_info").await.is_empty());
        let warnings = client.session.warnings();
        assert!(warnings[0].level.name() == "Note" && warnings[0].message.contains(part), "{part} in {warnings:?}");
    };
    note("no process is recorded").await;
    let process = Recorded::new(house.folder.path(), SMALL);
    note("16..256").await;
    client.done("alter system set _min_malloc_sample_interval=10000, _max_malloc_sample_interval=10000").await;
    note("stop recording").await;
    process.live(&GLIBC, &[1], 1, 1);
    client.rows("select * from __all_virtual_malloc_sample_info where mod_name = 'none such'").await;
    assert_eq!(client.session.warnings(), []);
}

#[tokio::test]
async fn a_bad_source_is_a_warning_and_a_row() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), SMALL);
    process.live(&GLIBC, &[1], 1, 1);
    let bad = house.folder.path().join("77-1.heapql");
    std::fs::write(&bad, vec![7u8; 1 << 16]).expect("written");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::options().write(true).open(&bad).and_then(|file| file.set_modified(old)).expect("aged");
    let client = house.mysql();
    assert_eq!(client.rows("select * from __all_virtual_malloc_sample_info").await.len(), 1);
    let warnings = client.session.warnings();
    assert!(warnings[0].level.name() == "Warning" && warnings[0].message.contains("could not be read"), "{warnings:?}");
    assert_eq!(client.rows("select state from processes order by 1").await, [["alive"], ["unreadable"]]);
}

#[tokio::test]
async fn growth_names_the_stack_and_has_a_rate_with_an_error() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), SMALL);
    process.live(&GLIBC, &[0x10], 1, 1);
    let client = house.mysql();
    client.one("select mark('start')").await;
    process.live(&GLIBC, &[0x20], 2, 600);
    let grown = "from growth('start') where est_bytes_growth = 1200";
    let frame = client.one(&format!("select app_frame {grown}")).await;
    assert_eq!(client.one("select app_frame from callsites where est_bytes = 1200").await, frame);
    assert!(!frame.is_empty());
    // Every allocation was sampled, so there is no error.
    assert_eq!(client.one(&format!("select est_growth_per_minute > 1200 {grown}")).await, "true");
    assert_eq!(client.one(&format!("select est_growth_error {grown}")).await, "0.0");
}

#[tokio::test]
async fn aggregates_over_leak_suspects_are_answered_also_when_it_is_empty() {
    let house = House::new();
    let client = house.mysql();
    for column in ["pid", "est_bytes", "why", "first_seen_at"] {
        assert_eq!(client.rows(&format!("SELECT max({column}) FROM leak_suspects")).await, [["NULL"]], "{column}");
        let grouped = format!("SELECT {column}, count(*) FROM leak_suspects GROUP BY {column}");
        assert_eq!(client.rows(&grouped).await.len(), 0, "{column}");
    }
    assert_eq!(client.rows("SELECT count(DISTINCT stack_id) FROM leak_suspects").await, [["0"]]);
}
