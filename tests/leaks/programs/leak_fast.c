// leak: function leak_session
// 400 sessions of 200 bytes per second that nobody closes.
#include "program.h"

NOINLINE static void leak_session(void) { use(malloc(200)); }

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(400); n > 0; n--) leak_session();
    requests(10);
}
