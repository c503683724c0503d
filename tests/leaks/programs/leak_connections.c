// leak: function copy_peer_name
// A connection lives for about 3 seconds and has three objects, of which closing it frees two: 30 per second.
#include "program.h"

#define MOST 1024
struct connection { char *buffer, *peer; double closes; };
static struct connection *open_ones[MOST];

NOINLINE static char *copy_peer_name(void) { return use(strdup("203.0.113.77:54321 (some.host.example)")); }

NOINLINE static struct connection *accept_one(double now) {
    struct connection *connection = use(malloc(sizeof *connection));
    connection->buffer = use(malloc(2048));
    connection->peer = copy_peer_name();
    connection->closes = now + exponential(3);
    return connection;
}

static void step(double now) {
    unsigned accepted = at_rate(30);
    for (unsigned slot = 0; slot < MOST; slot++) {
        struct connection *connection = open_ones[slot];
        if (connection && connection->closes <= now) {
            free(connection->buffer);
            free(connection);
            open_ones[slot] = NULL;
        }
        if (!open_ones[slot] && accepted > 0) {
            open_ones[slot] = accept_one(now);
            accepted--;
        }
    }
    requests(10);
}
