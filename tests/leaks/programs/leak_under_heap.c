// leak: function make_token
// One token in a hundred of 5,000 per second, beside 60,000 objects of 1,000 bytes that are replaced at random.
#include "program.h"

#define HEAP 60000
static char *heap[HEAP];

NOINLINE static char *replace(char *old) {
    free(old);
    char *object = use(malloc(1000));
    object[0] = 1;
    return object;
}

NOINLINE static char *make_token(void) { return use(malloc(64)); }

static void step(double now) {
    if (now < 1 && !heap[0])
        for (unsigned slot = 0; slot < HEAP; slot++) heap[slot] = replace(NULL);
    for (unsigned n = at_rate(3000); n > 0; n--) {
        unsigned slot = below(HEAP);
        heap[slot] = replace(heap[slot]);
    }
    for (unsigned n = at_rate(5000); n > 0; n--) {
        char *token = make_token();
        if (below(100) != 0) free(token);
    }
}
