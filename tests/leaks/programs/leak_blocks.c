// leak: function map_block
// 1 MiB every 2 seconds.
#include "program.h"

NOINLINE static void map_block(void) {
    char *block = use(malloc(1 << 20));
    block[0] = 1;
}

static double next;

static void step(double now) {
    if (now >= next) {
        map_block();
        next += 2;
    }
    requests(10);
}
