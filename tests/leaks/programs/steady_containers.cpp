// steady: a vector that is cleared and filled again, and a map that erases its oldest key
#include "program.h"
#include <map>
#include <string>
#include <vector>

static std::vector<std::string> lines;
static std::map<uint64_t, std::string> recent;
static uint64_t key;

NOINLINE static void add_line() { lines.push_back(std::string(30 + below(60), 'l')); }

NOINLINE static void add_recent() {
    recent[key++] = std::string(50, 'r');
    if (recent.size() > 3000) recent.erase(recent.begin());
}

static void step(double) {
    for (unsigned n = at_rate(500); n > 0; n--) add_line();
    for (unsigned n = at_rate(150); n > 0; n--) add_recent();
    if (lines.size() > 4000) lines.clear();
    requests(5);
}
