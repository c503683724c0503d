#!/usr/bin/env bash
# What symbolising 10,000 distinct addresses takes, cold and warm: time, and peak memory of the process. One line for each
# file; docs/explanation/symbols.md has the results. Usage: benches/symbols/run.sh [FILE..]; without files it compiles a C++ program with
# much debug info (half a minute), and takes libc and target/debug/heapql if it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cargo build --quiet --package heapql-symbols --example symbolize
symbolize=${CARGO_TARGET_DIR:-target}/debug/examples/symbolize

# generate N: a program with N classes, each in containers of its own: templates, inlining, long names.
generate() {
  printf '#include <algorithm>\n#include <functional>\n#include <map>\n#include <string>\n#include <unordered_map>\n#include <vector>\n'
  for ((i = 0; i < $1; i++)); do
    cat <<END
namespace part$i {
struct Item { std::string name; int price; std::vector<int> history; };
int run(int n) {
  std::map<std::string, Item> by_name; std::unordered_map<int, Item> by_price; std::vector<Item> all;
  std::function<bool(const Item &, const Item &)> less = [](const Item &a, const Item &b) { return a.price < b.price; };
  for (int i = 0; i < n; i++) { all.push_back({std::to_string(i), i, {i}}); by_name[all.back().name] = all.back(); by_price.emplace(i, all.back()); }
  std::sort(all.begin(), all.end(), less);
  return by_name.size() + by_price.size() + all.front().price;
}
}
END
  done
  printf 'int main(int argc, char **) { return 0'
  for ((i = 0; i < $1; i++)); do printf ' + part%d::run(argc)' "$i"; done
  printf '; }\n'
}

files=("$@")
if [ ${#files[@]} = 0 ]; then
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  generate 30 >"$directory/large.cpp"
  g++ -g -O2 -std=c++17 "$directory/large.cpp" -o "$directory/large"
  files=("$directory/large" "$(realpath /lib/x86_64-linux-gnu/libc.so.6)")
  [ ! -x target/debug/heapql ] || files+=(target/debug/heapql)
fi
for file in "${files[@]}"; do
  info=$(readelf -SW "$file" | sed -n 's/.* \.debug_info *PROGBITS *[0-9a-f]* [0-9a-f]* \([0-9a-f]*\) .*/\1/p')
  echo "== $file: $(stat -c %s "$file") bytes, .debug_info in it $((16#${info:-0})) bytes"
  "$symbolize" --measure 10000 "$file"
done
