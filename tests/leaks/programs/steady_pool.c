// steady: an object pool that grows to what is needed at once, about 3,000, and hands objects out again
#include "program.h"

#define MOST 100000
struct object { double until; char body[100]; };
static struct object *used[MOST], *spare[MOST];
static unsigned used_count, spare_count;

NOINLINE static struct object *take(void) {
    return spare_count > 0 ? spare[--spare_count] : use(malloc(sizeof(struct object)));
}

static void step(double now) {
    for (unsigned index = 0; index < used_count;) {
        if (used[index]->until > now) {
            index++;
            continue;
        }
        spare[spare_count++] = used[index];
        used[index] = used[--used_count];
    }
    for (unsigned n = at_rate(600); n > 0; n--) {
        struct object *object = take();
        object->until = now + exponential(5);
        used[used_count++] = object;
    }
    requests(8);
}
