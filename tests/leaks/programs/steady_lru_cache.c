// steady: an LRU cache that fills within 45 seconds and then evicts
#include "program.h"

#define MOST 9000
static char *cache[MOST];
static unsigned next;

NOINLINE static char *load_page(void) { return use(malloc(500)); }

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(200); n > 0; n--) {
        next = (next + 1) % MOST;
        free(cache[next]);
        cache[next] = load_page();
    }
    requests(8);
}
