// steady: objects of random lifetimes, 8 seconds on average, some at once and some a minute
#include "program.h"

#define MOST 16384
static char *live[MOST];
static double until[MOST];

NOINLINE static char *create(void) { return use(malloc(16 + below(500))); }

static void step(double now) {
    unsigned more = at_rate(500);
    for (unsigned slot = 0; slot < MOST; slot++) {
        if (live[slot] && until[slot] <= now) {
            free(live[slot]);
            live[slot] = NULL;
        }
        if (!live[slot] && more > 0) {
            live[slot] = create();
            until[slot] = now + exponential(8);
            more--;
        }
    }
    requests(5);
}
