// steady: connections are opened as load rises for 2 minutes and stay open; each asks twice a second
#include "program.h"

NOINLINE static void open_connection(void) { use(malloc(900)); }

static unsigned connections;

static void step(double now) {
    if (now < 120)
        for (unsigned n = at_rate(10); n > 0; n--, connections++) open_connection();
    requests(at_rate(50 + 2.0 * connections));
}
