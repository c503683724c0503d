// steady: data loaded for the first 60 seconds, then only read
#include "program.h"

NOINLINE static void load_row(void) { use(malloc(150)); }

static void step(double now) {
    if (now < 60)
        for (unsigned n = at_rate(1000); n > 0; n--) load_row();
    requests(8);
}
