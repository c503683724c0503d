// leak: function add_to_batch
// Batches of 1,000 objects per second are cleared every 4 seconds, but for one object in 20.
#include "program.h"

#define MOST 8192
static char *batch[MOST];
static unsigned size;
static double next = 4;

NOINLINE static void add_to_batch(void) {
    char *object = use(malloc(80));
    if (below(20) != 0 && size < MOST) batch[size++] = object;
}

static void step(double now) {
    for (unsigned n = at_rate(1000); n > 0; n--) add_to_batch();
    if (now >= next) {
        while (size > 0) free(batch[--size]);
        next += 4;
    }
    requests(5);
}
