#!/usr/bin/env bash
# Fuzzes every target for SECONDS (default 60) each. Wants a nightly compiler and cargo-fuzz, and says so without them: what
# it looks for, in small, the ordinary tests look for too (crates/registry/tests, crates/unwind/src/cfi.rs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! cargo +nightly --version >/dev/null 2>&1 || ! cargo fuzz --version >/dev/null 2>&1; then
  echo "fuzz: skipped: wants a nightly compiler (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz)" >&2
  exit 0
fi
python3 seeds.py
for target in ledger rules; do
  # A ledger here is half a MiB at most: 64 MiB at once would be out of all proportion.
  cargo +nightly fuzz run --fuzz-dir . "$target" -- \
    -max_total_time="${1:-60}" -malloc_limit_mb=64 -timeout=10 -max_len=16384 -print_final_stats=1
done
