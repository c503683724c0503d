#!/usr/bin/env bash
# Checks the dependencies against deny.toml: licences, sources, duplicate versions, advisories. Installs cargo-deny from crates.io
# into target/tools the first time, which takes minutes; that is why ./test.sh does not run it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./install.sh

need_cargo
version=0.18
tools=${CARGO_TARGET_DIR:-target}/tools
if ! "$tools/bin/cargo-deny" --version >/dev/null 2>&1; then
  echo "building cargo-deny (minutes, once) ..." >&2
  cargo install cargo-deny --version "^$version" --locked --quiet --root "$tools"
fi
export PATH="$PWD/$tools/bin:$tools/bin:$PATH"
# With -D, an entry of deny.toml that is needed no more fails as well.
cargo deny --workspace check -D warnings licenses bans sources
# The advisories are a repository that is fetched, from where not every machine may.
if ! git ls-remote --quiet --exit-code https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
  echo "left out: advisories, because their database cannot be fetched from here" >&2
  exit 0
fi
cargo deny --workspace check -D warnings advisories
