// leak: function audit
// Each twentieth request leaves an audit record, while the load rises tenfold within 3 minutes.
#include "program.h"

NOINLINE static void audit(void) { use(malloc(100)); }

static void step(double now) {
    double load = 1 + 9 * fmin(now / 180, 1);
    unsigned count = at_rate(100 * load);
    requests(count);
    for (; count > 0; count--)
        if (below(10) == 0) audit();
}
