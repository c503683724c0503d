// steady: a cache whose entries live for 20 seconds, under load that swings every 80 seconds
#include "program.h"

#define MOST 40000
static char *live[MOST];
static double until[MOST];
static unsigned first, end;

NOINLINE static char *remember(void) { return use(malloc(220)); }

static void step(double now) {
    double load = 1 + 0.8 * sin(now * 2 * 3.14159265 / 80);
    while (first != end && until[first] <= now) {
        free(live[first]);
        first = (first + 1) % MOST;
    }
    for (unsigned n = at_rate(500 * load); n > 0; n--) {
        live[end] = remember();
        until[end] = now + 20;
        end = (end + 1) % MOST;
    }
    requests(at_rate(400 * load));
}
