// steady: 100,000 objects, of which 4,000 per second are replaced at random
#include "program.h"

#define HEAP 100000
static char *heap[HEAP];

NOINLINE static char *replace(char *old) {
    free(old);
    return use(malloc(300 + below(300)));
}

static void step(double now) {
    (void)now;
    if (!heap[0])
        for (unsigned slot = 0; slot < HEAP; slot++) heap[slot] = replace(NULL);
    for (unsigned n = at_rate(4000); n > 0; n--) {
        unsigned slot = below(HEAP);
        heap[slot] = replace(heap[slot]);
    }
    requests(5);
}
