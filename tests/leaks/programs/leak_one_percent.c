// leak: function make_message
// One message in a hundred is never freed, at a callsite of 6,000 per second.
#include "program.h"

NOINLINE static char *make_message(void) { return use(malloc(100)); }

#define WAITING 512
static char *queue[WAITING];
static unsigned next;

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(6000); n > 0; n--) {
        next = (next + 1) % WAITING;
        if (below(100) != 0) free(queue[next]);
        queue[next] = make_message();
    }
    requests(5);
}
