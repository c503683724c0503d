// steady: load rises tenfold within 2 minutes and stays; a request lives for 4 seconds
#include "program.h"

#define MOST 20000
static char *live[MOST];
static double until[MOST];
static unsigned first, end;

NOINLINE static char *open_request(void) { return use(malloc(700)); }

static void step(double now) {
    double load = 0.1 + 0.9 * fmin(now / 120, 1);
    while (first != end && until[first] <= now) {
        free(live[first]);
        first = (first + 1) % MOST;
    }
    for (unsigned n = at_rate(1000 * load); n > 0; n--) {
        live[end] = open_request();
        until[end] = now + 4;
        end = (end + 1) % MOST;
    }
    requests(at_rate(500 * load));
}
