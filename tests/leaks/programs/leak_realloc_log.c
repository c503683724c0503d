// leak: function grow_log
// One buffer that is reallocated for every 48 KiB of log, four times per second, and never written out.
#include "program.h"

static char *entries;
static size_t length;

NOINLINE static void grow_log(void) {
    size_t more = 48 << 10;
    entries = use(realloc(entries, length + more));
    memset(entries + length, 'x', more);
    length += more;
}

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(4); n > 0; n--) grow_log();
    requests(10);
}
