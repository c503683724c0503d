/* Labels its allocations by the C interface, if there is one: the functions are weak, so that it runs without HeapQL too.
 * Holds 10 objects of 1009 bytes under no label, 20 under (1007, 3, "outer"), 30 under (1008, 0, "inner") inside it, and
 * 40 more under "outer" after it. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((weak)) void heapql_scope_push(uint64_t tenant_id, uint64_t ctx_id, const char *label);
__attribute__((weak)) void heapql_scope_pop(void);

static void *volatile held[100];
static int used;

__attribute__((noinline)) static void hold(int count)
{
    while (count-- > 0)
        held[used++] = malloc(1009);
}

static void push(uint64_t tenant_id, uint64_t ctx_id, const char *label)
{
    if (heapql_scope_push)
        heapql_scope_push(tenant_id, ctx_id, label);
}

static void pop(void)
{
    if (heapql_scope_pop)
        heapql_scope_pop();
}

int main(void)
{
    char byte;
    hold(10);
    push(1007, 3, "outer");
    hold(20);
    push(1008, 0, "inner");
    hold(30);
    pop();
    hold(40);
    pop();
    pop(); /* one too many does no harm */
    if (write(1, "ready\n", 6) != 6)
        return 1;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
    return 0;
}
