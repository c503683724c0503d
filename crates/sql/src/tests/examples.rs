//! Every query of `sql/examples` runs in both dialects, and says first what it is for.

use super::House;
use super::ledger::GLIBC;
use super::ledger::Recorded;

#[tokio::test]
async fn all_run() {
    let house = House::new();
    let process = Recorded::new(house.folder.path(), 4 << 20);
    process.live(&GLIBC, &[0x10, 0x20], 3, 100);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        assert!(text.starts_with("-- "), "{}", path.display());
        for client in [house.mysql(), house.postgres()] {
            for statement in client.session.statements(&text).expect("splits") {
                let rows = client.rows(&statement).await;
                // Nothing leaks here, and no time has passed.
                let is_verdict = path.file_name().is_some_and(|name| {
                    let name = name.to_string_lossy();
                    name.starts_with("leak_") || name.starts_with("past_suspects")
                });
                assert!(!rows.is_empty() || is_verdict, "{}", path.display());
            }
        }
        count += 1;
    }
    assert!(count > 5);
}
