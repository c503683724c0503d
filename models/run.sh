#!/usr/bin/env bash
# The models of what is lock-free, under loom: all, or those whose names contain an argument. Part of the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec cargo run --quiet --bin models -- "$@"
