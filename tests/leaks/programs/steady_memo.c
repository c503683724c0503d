// steady: a memo of 6,000 possible keys, some asked for more often than others: it fills slower and slower
#include "program.h"

#define KEYS 6000
static char *memo[KEYS];

NOINLINE static char *compute(void) { return use(malloc(120)); }

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(400); n > 0; n--) {
        unsigned key = below(2) ? below(KEYS / 5) : below(KEYS);
        if (!memo[key]) memo[key] = compute();
    }
    requests(8);
}
