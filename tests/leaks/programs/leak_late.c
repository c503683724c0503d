// leak: function open_handle
// Handles are closed after 2 seconds; from the 61st on, 60 per second are not.
#include "program.h"

#define OPEN 4096
static char *handles[OPEN];
static double closes[OPEN];
static unsigned next;

NOINLINE static char *open_handle(void) { return use(malloc(150)); }

static void step(double now) {
    for (unsigned slot = 0; slot < OPEN; slot++) {
        if (handles[slot] && closes[slot] <= now) {
            free(handles[slot]);
            handles[slot] = NULL;
        }
    }
    for (unsigned n = at_rate(300); n > 0; n--) {
        char *handle = open_handle();
        if (now > 60 && below(5) == 0) continue;
        next = (next + 1) % OPEN;
        handles[next] = handle;
        closes[next] = now + 2;
    }
    requests(8);
}
