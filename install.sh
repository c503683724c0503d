# Sourced by demo.sh and test.sh: installs Debian packages for commands that are missing. Not a script of its own.

# need COMMAND PACKAGE ...: pairs. Packages are installed together, only if some command is missing.
need() {
  local missing=() root=""
  while [ $# -gt 0 ]; do
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: ${missing[*]} (this is not Debian: install them yourself)" >&2
    return 1
  fi
  if [ "$(id -u)" != 0 ]; then
    root=$(command -v sudo) || { echo "missing: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2; return 1; }
  fi
  echo "installing ${missing[*]} ..." >&2
  $root apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq "${missing[@]}" >&2
}

need_cargo() {
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  command -v cargo >/dev/null 2>&1 || { echo "cargo is missing: install Rust 1.95 or later" >&2; exit 1; }
  need cc gcc
}
