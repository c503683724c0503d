// leak: function remember_name
// 25 small objects per second among 2,000 allocations.
#include "program.h"

NOINLINE static void remember_name(void) { use(malloc(48)); }

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(25); n > 0; n--) remember_name();
    requests(10);
}
