// steady: most objects die young, a tenth is promoted, and the old ones are collected when there are 2,000
#include "program.h"

#define OLD 2000
static char *old[OLD];
static unsigned count;

NOINLINE static char *make_object(void) { return use(malloc(64)); }

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(1500); n > 0; n--) {
        char *object = make_object();
        if (below(10) != 0) {
            free(object);
            continue;
        }
        old[count++] = object;
        if (count == OLD)
            while (count > OLD / 5) free(old[--count]);
    }
    requests(5);
}
