/* Labels its allocations by the C interface, if there is one: the program runs without HeapQL too.
 * Holds 10 objects of 1009 bytes under no label, 20 under (1007, 3, "outer"), 30 under (1008, 0, "inner") inside it, and
 * 40 more under "outer" after it. */
#include <stdlib.h>
#include <unistd.h>

#include "heapql.h"

static void *volatile held[100];
static int used;

__attribute__((noinline)) static void hold(int count)
{
    while (count-- > 0)
        held[used++] = malloc(1009);
}

int main(void)
{
    char byte;
    hold(10);
    heapql_push(1007, 3, "outer");
    hold(20);
    heapql_push(1008, 0, "inner");
    hold(30);
    heapql_pop();
    hold(40);
    heapql_pop();
    heapql_pop(); /* one too many does no harm */
    if (write(1, "ready\n", 6) != 6)
        return 1;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
    return 0;
}
