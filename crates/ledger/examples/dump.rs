//! Prints a ledger file, a line per loss and per callsite, tab-separated: for looking at one without a server.
//!
//! ```text
//! loss      REASON  COUNT
//! callsite  LABEL  LIVE_COUNT  LIVE_BYTES  TOTAL_COUNT  TOTAL_BYTES  MODULE+OFFSET MODULE+OFFSET ...
//! ```
//!
//! Offsets are those that addr2line takes. `cargo run -p heapql-ledger --example dump FILE`; `tests/aarch64` does.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use heapql_ledger::Ledger;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: dump FILE")?;
    let ledger = Ledger::open(Path::new(&path))?;
    let mut out = std::io::stdout().lock();
    for (loss, count) in ledger.losses()? {
        writeln!(out, "loss\t{}\t{count}", loss.name())?;
    }
    let (labels, modules) = (ledger.labels()?, ledger.modules()?);
    for site in ledger.callsites()? {
        let label = labels.get(usize::from(site.label)).map_or("?", |label| &label.text);
        let (live, total) = ((site.live_count, site.live_bytes), (site.total_count, site.total_bytes));
        write!(out, "callsite\t{label}\t{}\t{}\t{}\t{}\t", live.0, live.1, total.0, total.1)?;
        for frame in ledger.words(site.stack_at, site.depth.into())? {
            match modules.iter().find(|module| (module.start..module.end).contains(&frame)) {
                Some(module) => write!(out, "{}+{:#x} ", module.path, frame.wrapping_sub(module.load_bias))?,
                None => write!(out, "?+{frame:#x} ")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
