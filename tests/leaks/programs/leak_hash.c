// leak: function leaky_insert
// A chained hash table that only grows: 200 lookups per second, every fourth inserts.
#include "program.h"

#define BUCKETS 4096
struct node { struct node *next; uint64_t key; char value[40]; };
static struct node *table[BUCKETS];

NOINLINE static void leaky_insert(uint64_t key) {
    struct node *node = use(malloc(sizeof *node));
    node->key = key;
    node->next = table[key % BUCKETS];
    table[key % BUCKETS] = node;
}

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(200); n > 0; n--) {
        uint64_t key = random_word();
        struct node *node = table[key % BUCKETS];
        while (node && node->key != key) node = node->next;
        if (!node && below(4) == 0) leaky_insert(key);
    }
    requests(10);
}
