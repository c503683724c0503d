// steady: batches that are flushed every 10 seconds, as often as anybody looks, and others every 27
#include "program.h"

#define MOST 100000
struct batch { char *objects[MOST]; unsigned size; double next; };
static struct batch ten = {.next = 10}, longer = {.next = 27};

NOINLINE static char *make_row(void) { return use(malloc(80)); }

static void add(struct batch *batch, unsigned count, double now, double period) {
    for (; count > 0 && batch->size < MOST; count--) batch->objects[batch->size++] = make_row();
    if (now >= batch->next) {
        while (batch->size > 0) free(batch->objects[--batch->size]);
        batch->next += period;
    }
}

NOINLINE static void add_to_ten(double now) { add(&ten, at_rate(800), now, 10.02); }
NOINLINE static void add_to_longer(double now) { add(&longer, at_rate(400), now, 27); }

static void step(double now) {
    add_to_ten(now);
    add_to_longer(now);
    requests(5);
}
