// Maps, strings and vectors as C++ programs use them. `cppmix [rounds]`.
#include <cstdlib>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

int main(int count, char **arguments) {
    long rounds = count > 1 ? std::atol(arguments[1]) : 40;
    unsigned long sum = 0;
    for (long round = 0; round < rounds; round++) {
        std::map<std::string, std::vector<int>> tree;
        std::unordered_map<int, std::string> table;
        for (int i = 0; i < 5000; i++) {
            std::string key = "key number " + std::to_string(i * 7919 % 5000) + " of the round";
            tree[key].push_back(i);
            table[i] = key + std::to_string(round);
            if (i % 3 == 0) table.erase(i / 2);
        }
        for (auto &entry : tree) sum += entry.first.size() + entry.second.size();
        sum += table.size();
    }
    return sum == 42;
}
