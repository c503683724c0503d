// steady: bursts of random size at random moments, each gone after 1 to 15 seconds
#include "program.h"

#define MOST 64
static char **bursts[MOST];
static unsigned sizes[MOST];
static double until[MOST];

NOINLINE static char *make_part(void) { return use(malloc(128)); }

static void step(double now) {
    for (int slot = 0; slot < MOST; slot++) {
        if (bursts[slot] && until[slot] <= now) {
            while (sizes[slot] > 0) free(bursts[slot][--sizes[slot]]);
            free(bursts[slot]);
            bursts[slot] = NULL;
        } else if (!bursts[slot] && below(64 * 25) == 0) {
            sizes[slot] = 100 + below(3000);
            bursts[slot] = calloc(sizes[slot], sizeof(char *));
            for (unsigned part = 0; part < sizes[slot]; part++) bursts[slot][part] = make_part();
            until[slot] = now + 1 + below(15);
        }
    }
    requests(8);
}
