#!/usr/bin/env bash
# Builds heapql and runs its demo: a small leaking program, recorded, with the lines to connect to it.
# Arguments are passed on to `heapql demo`. Ctrl-C ends it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./install.sh

need_cargo
# To ask it in SQL from another terminal; `heapql sql` does without.
need mariadb mariadb-client psql postgresql-client ||
  echo "going on without them: heapql sql asks the same questions" >&2

echo "building heapql (some minutes the first time, most of it the SQL engine) ..." >&2
# All members together, here and in test.sh: otherwise the engine would be built twice, with other features.
cargo build --workspace --bin heapql

exec "${CARGO_TARGET_DIR:-target}/debug/heapql" demo "$@"
