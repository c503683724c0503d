// steady: an arena that keeps its chunks, and one that gives them back after each round of 5 seconds
#include "program.h"

#define CHUNKS 200
static char *kept[CHUNKS], *given[CHUNKS];
static unsigned used, round_used;
static double next = 5;

NOINLINE static char *chunk(void) {
    char *memory = use(malloc(4096));
    memory[0] = 1;
    return memory;
}

static void step(double now) {
    for (unsigned n = at_rate(30); n > 0; n--) {
        if (used < CHUNKS && !kept[used]) kept[used] = chunk();
        if (used < CHUNKS) used++;
        if (round_used < CHUNKS) given[round_used++] = chunk();
    }
    if (now >= next) {
        used = 0;
        while (round_used > 0) free(given[--round_used]);
        next += 5;
    }
    requests(10);
}
