// leak: function load_report
// Nothing for 5 seconds, then 250 objects at once, all forgotten.
#include "program.h"

NOINLINE static void load_report(void) {
    for (int row = 0; row < 250; row++) use(malloc(90));
}

static double next = 3;

static void step(double now) {
    if (now >= next) {
        load_report();
        next += 5;
    }
    requests(10);
}
