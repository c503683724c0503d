// Something for a C++ compiler to chew on: templates, exceptions, lambdas, inlining.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

template <int N> struct Tower { static int height(int x) { return x % N ? Tower<N - 1>::height(x + N) : x / N; } };
template <> struct Tower<1> { static int height(int x) { return x; } };

using Value = std::variant<int, std::string, std::vector<double>>;

int main() {
    std::map<std::string, std::vector<Value>> values;
    std::regex words("([a-z]+)([0-9]*)");
    for (std::string line; std::getline(std::cin, line);)
        for (std::sregex_iterator at(line.begin(), line.end(), words), end; at != end; ++at)
            values[(*at)[1]].emplace_back((*at)[2].str());
    std::function<int(int)> sum = [&](int n) { return n ? sum(n - 1) + Tower<60>::height(n) : 0; };
    std::vector<std::unique_ptr<std::thread>> threads;
    for (int i = 0; i < 3; i++)
        threads.push_back(std::make_unique<std::thread>([&, i] {
            try {
                for (auto &[word, list] : values)
                    std::sort(list.begin(), list.end(), [](auto &a, auto &b) { return a.index() < b.index(); });
                if (sum(i) < 0) throw std::runtime_error("negative");
            } catch (const std::exception &error) {
                std::cerr << error.what();
            }
        }));
    for (auto &thread : threads) thread->join();
    return int(values.size());
}
