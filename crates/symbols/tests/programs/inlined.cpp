// Small functions that are inlined into each other, templates, lambdas, a namespace without a name. Compiled by tests/oracle.rs and
// tests/files.rs; symbolised, seldom run.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
namespace shop {
struct Item { std::string name; int price; };
template <class T> struct Basket {
  std::vector<T> items;
  void add(T item) { items.push_back(std::move(item)); }
  int total() const { int sum = 0; for (auto &i : items) sum += i.price; return sum; }
};
namespace { int secret(int x) { return x * 3 + 1; } }
__attribute__((noinline)) std::unique_ptr<Basket<Item>> fill(int n) {
  auto b = std::make_unique<Basket<Item>>();
  for (int i = 0; i < n; i++) b->add({std::to_string(secret(i)) + " a rather long name for an item", i});
  std::sort(b->items.begin(), b->items.end(), [](const Item &l, const Item &r) { return l.price > r.price; });
  return b;
}
}
int main(int argc, char **) {
  std::unordered_map<std::string, int> index; std::map<int, std::string> back;
  auto b = shop::fill(argc + 10);
  for (auto &i : b->items) { index[i.name] = i.price; back.emplace(i.price, i.name); }
  std::printf("%d %zu %zu\n", b->total(), index.size(), back.size());
}
