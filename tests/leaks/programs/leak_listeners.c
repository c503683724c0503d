// leak: function add_listener
// Each page adds a listener that is never removed, and every event makes a message for each of the last hundred.
#include "program.h"

struct listener { struct listener *next; char name[56]; };
static struct listener *listeners;

NOINLINE static void add_listener(void) {
    struct listener *listener = use(malloc(sizeof *listener));
    listener->next = listeners;
    listeners = listener;
}

NOINLINE static void fire(void) {
    int most = 100;
    for (struct listener *listener = listeners; listener && most-- > 0; listener = listener->next) {
        free(use(malloc(64)));
    }
}

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(40); n > 0; n--) add_listener();
    if (below(5) == 0) fire();
    requests(8);
}
