// steady: a ring of the last 5,000 messages
#include "program.h"

#define MOST 5000
static char *ring[MOST];
static unsigned next;

NOINLINE static char *receive(void) { return use(malloc(60 + below(400))); }

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(300); n > 0; n--) {
        free(ring[next]);
        ring[next] = receive();
        next = (next + 1) % MOST;
    }
    requests(8);
}
