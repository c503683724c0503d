#!/usr/bin/env bash
# Everything that must pass: formatting, lints, all tests. Arguments are passed on to `cargo test`.
# What this host cannot do is left out of a test, and listed at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./install.sh

need_cargo
need g++ g++ addr2line binutils mariadb mariadb-client psql postgresql-client sqlite3 sqlite3 python3 python3
need valgrind valgrind gdb gdb strace strace dwz dwz openssl openssl
# Allocators that programs bring along: libraries, of which no command tells whether they are there.
for library in libjemalloc.so.2:libjemalloc2 libtcmalloc_minimal.so.4:libtcmalloc-minimal4 libmimalloc.so.2:libmimalloc2.0; do
  [ -e "/usr/lib/x86_64-linux-gnu/${library%:*}" ] || need "no-command-${library#*:}" "${library#*:}"
done
# For the drivers that the tests install into target/test-venv. A command does not tell whether Python can do that.
python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv python3-venv

# rustup's minimal profile comes without them.
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

# Tests append a line for each thing that they leave out.
TESTS_LEFT_OUT=$(mktemp)
export TESTS_LEFT_OUT
list_left_out() {
  if [ -s "$TESTS_LEFT_OUT" ]; then
    echo "left out on this host:" >&2
    sort -u "$TESTS_LEFT_OUT" | sed 's/^/  /' >&2
  fi
  rm -f "$TESTS_LEFT_OUT"
}
trap list_left_out EXIT

step() {
  echo "== $*" >&2
  "$@"
}
step cargo fmt --all --check
step cargo clippy --workspace --all-targets -- -D warnings
# The other machine; tests/aarch64/run.sh also runs it, under an emulator.
if rustup target list --installed 2>/dev/null | grep -qx aarch64-unknown-linux-gnu; then
  step cargo check --target aarch64-unknown-linux-gnu -p heapql-ledger -p heapql-unwind -p heapql-sampler -p heapql-preload
else
  echo "cargo check for aarch64: its standard library is not installed (rustup target add aarch64-unknown-linux-gnu)" >>"$TESTS_LEFT_OUT"
fi
# The end-to-end tests run the binary as it was built.
step cargo build --workspace --bin heapql
step cargo test --workspace "$@"
# A minute: what is lock-free, under every interleaving.
step models/run.sh
echo "all passed" >&2
