// leak: function note_visit
// A std::map from visitor to text, from which nobody erases: 50 new ones per second.
#include "program.h"
#include <map>
#include <string>

static std::map<uint64_t, std::string> visits;

NOINLINE static void note_visit(uint64_t visitor) { visits[visitor] = std::string(40, 'v'); }

static void step(double) {
    for (unsigned n = at_rate(50); n > 0; n--) note_visit(random_word());
    requests(10);
}
