// leak: function parse_header
// The name of a header is copied by strdup and freed, but not where the value is wrong: 3% of 1,200 per second.
#include "program.h"

NOINLINE static int parse_header(const char *line, int is_wrong) {
    char *name = use(strdup(line));
    if (is_wrong) return -1;
    free(name);
    return 0;
}

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(1200); n > 0; n--) parse_header("content-type: text/plain; charset=utf-8", below(100) < 3);
    requests(5);
}
