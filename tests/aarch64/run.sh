#!/usr/bin/env bash
# The writer wing on aarch64, under qemu's user mode: lints and tests of ledger, unwind and sampler, then recorded programs
# with pages of each size (programs.py). Installs the cross compiler, the emulator and Rust's target if they are missing.
# Not a part of test.sh: it takes some minutes. On an aarch64 machine test.sh itself is the test.
#
# Left out, because qemu is no kernel: mincore of reserved memory, an address that comes again after dlclose, programs of
# this machine with a library for the other one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. ./install.sh

need_cargo
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu aarch64-linux-gnu-g++ g++-aarch64-linux-gnu \
  qemu-aarch64 qemu-user python3 python3
root=/usr/aarch64-linux-gnu
target=aarch64-unknown-linux-gnu
rustup target list --installed | grep -qx "$target" || rustup target add "$target"

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L $root"
# A target directory of its own: what is built here would push out what test.sh has built.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/aarch64}
# qemu keeps a record of every reserved page: it must not be asked for the 64 GiB that cost a kernel nothing. The pool
# takes an eighth of the limit; each case of a property has a pool.
ulimit -v $((16 << 20))
export PROPTEST_CASES=6

step() {
  echo "== $*" >&2
  "$@"
}
arm() {
  step cargo "$1" --target "$target" "${@:2}"
}
arm clippy -p heapql-ledger -p heapql-unwind -p heapql-sampler --all-targets -- -D warnings
arm clippy -p heapql-preload -- -D warnings
# The tests of the unwinder compile programs.
export CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++
arm test -p heapql-ledger
arm test -p heapql-unwind --lib --test memo --test garbage --test stack_use
arm test -p heapql-unwind --doc
arm test -p heapql-unwind --test oracle -- --skip another_library_at_the_same_address
# A test at a time, each in a process of its own, for the sake of address space.
tests=$(arm test -p heapql-sampler --lib -- --list | sed -n 's/: test$//p')
for test in $tests; do
  [ "$test" = pool::tests::memory_goes_back_when_objects_are_gone ] && continue
  arm test --quiet -p heapql-sampler --lib -- --exact "$test"
done
unset CC CXX
arm build -p heapql-preload --profile preload --features freestanding
step cargo build -p heapql-ledger --features reader --example dump
step tests/aarch64/programs.py "$root" "$CARGO_TARGET_DIR/$target/preload/libheapql_preload.so" \
  "$CARGO_TARGET_DIR/debug/examples/dump"
echo "all passed" >&2
