//! Samples that were due and are not in the ledger: counted by reason, and written out once if a bound is the reason.
//!
//! It decides nothing: the caller has given up already. Called by `recorder`.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use heapql_ledger::{Loss, Writer};

use crate::text::{Line, log};

/// One bit per reason that has been said. A forked child does not say again what its parent has said.
static SAID: AtomicU32 = AtomicU32::new(0);

#[cold]
pub(crate) fn lose(writer: &Writer, loss: Loss) {
    writer.lose(loss);
    let Some(line) = line(writer, loss) else {
        return;
    };
    let bit = 1 << loss as u32;
    if SAID.load(Relaxed) & bit == 0 && SAID.fetch_or(bit, Relaxed) & bit == 0 {
        log(line.text(b"; heapql.processes counts what is lost"));
    }
}

/// The line for the program's user. The other reasons are passing.
fn line(writer: &Writer, loss: Loss) -> Option<Line> {
    let line = Line::new();
    match loss {
        Loss::LedgerFull => {
            let bytes = writer.header().file_bytes.load(Relaxed);
            let line = line.text(b"the ledger is full (").number(bytes);
            Some(line.text(b" bytes, see HEAPQL_LEDGER_BYTES): stacks that it does not know are no longer recorded"))
        }
        Loss::NoSpace => {
            Some(line.text(b"no space for the ledger to grow: stacks that it does not know are no longer recorded"))
        }
        Loss::PoolFull => {
            Some(line.text(b"no memory or addresses for a sampled object: those that find no room are not recorded"))
        }
        Loss::LabelsFull => Some(line.text(b"too many labels: more of them are not recorded apart")),
        Loss::Contended | Loss::Reentrant | Loss::StackTruncated => None,
    }
}
