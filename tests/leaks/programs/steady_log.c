// steady: a log buffer that grows by realloc and is rotated when it has 6 MiB, every 30 seconds or so
#include "program.h"

static char *entries;
static size_t length;

NOINLINE static void write_log(void) {
    size_t more = 16 << 10;
    entries = use(realloc(entries, length + more));
    memset(entries + length, 'x', more);
    length += more;
    if (length > (6 << 20)) {
        free(entries);
        entries = NULL;
        length = 0;
    }
}

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(13); n > 0; n--) write_log();
    requests(10);
}
