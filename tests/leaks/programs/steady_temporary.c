// steady: temporary buffers of all sizes, 16 bytes to 4 MiB
#include "program.h"

NOINLINE static void scratch(size_t bytes) {
    char *buffer = use(malloc(bytes));
    buffer[0] = 1;
    buffer[bytes - 1] = 1;
    free(buffer);
}

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(2000); n > 0; n--) scratch((size_t)16 << below(10));
    for (unsigned n = at_rate(10); n > 0; n--) scratch((size_t)16 << (10 + below(9)));
}
