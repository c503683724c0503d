// leak: function cache_result
// A cache of results without eviction; most keys never come again. The results that were not cached are freed.
#include "program.h"

#define SLOTS (1 << 20)
static char **cache;

NOINLINE static char *cache_result(void) { return use(malloc(256)); }

static void step(double now) {
    (void)now;
    if (!cache) cache = calloc(SLOTS, sizeof *cache);
    for (unsigned n = at_rate(80); n > 0; n--) {
        unsigned slot = below(SLOTS);
        if (!cache[slot]) cache[slot] = cache_result();
    }
    requests(10);
}
