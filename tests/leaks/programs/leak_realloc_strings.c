// leak: function append
// Strings that are built by realloc, and dropped when they are done: 30 per second.
#include "program.h"

struct text { char *bytes; size_t length, room; };

NOINLINE static void append(struct text *text, const char *more) {
    size_t length = strlen(more);
    while (text->length + length + 1 > text->room) {
        text->room = text->room ? text->room * 2 : 16;
        text->bytes = use(realloc(text->bytes, text->room));
    }
    memcpy(text->bytes + text->length, more, length + 1);
    text->length += length;
}

NOINLINE static void build(void) {
    struct text text = {0};
    for (int part = 0; part < 8; part++) append(&text, "some words, ");
}

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(30); n > 0; n--) build();
    requests(10);
}
