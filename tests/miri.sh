#!/usr/bin/env bash
# What of the product Miri can run: it checks pointers, aliasing, alignment and initialisation. Wants a nightly compiler with
# Miri, and says so without them. Not part of the tests: minutes, and a nightly.
#
# It cannot run assembly, system calls by number, or memory that other processes share. Left to the other tests and to the
# models (models/run.sh): the ledger's files and mappings, the pool's memory, thread-local storage, capture.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
  echo "miri: skipped: wants a nightly compiler with Miri (rustup toolchain install nightly --component miri,rust-src)" >&2
  exit 0
fi
# Addresses that are numbers of the kernel's are given their provenance when they are used.
export MIRIFLAGS="${MIRIFLAGS:--Zmiri-permissive-provenance -Zmiri-disable-isolation}" PROPTEST_CASES=4

# run PACKAGE TEST..: a filter that matches nothing would pass without a word, so every name must run at least once.
run() {
  local package=$1 name out
  shift
  for name in "$@"; do
    out=$(cargo +nightly miri test --quiet -p "$package" --lib -- "$name" 2>&1) || { echo "$out" >&2; exit 1; }
    grep -Eq 'test result: ok\. [1-9]' <<<"$out" || { echo "miri: no test is named $name" >&2; exit 1; }
    echo "miri: $package $name" >&2
  done
}

run heapql-ledger index lock
run heapql-sampler pool::class
run heapql-unwind cache reduce stack::tests memo::tests the_last_row a_table_ broken_notes lines_are_read
