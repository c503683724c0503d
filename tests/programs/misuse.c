/* Label scopes as they should not be used. Holds objects of 1009 bytes under what was asked for: the test knows how many
 * belong where. Ends by itself where HeapQL is absent, like every program that includes heapql.h. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "heapql.h"

static void hold(int count)
{
    static void *volatile last;
    while (count-- > 0)
        last = malloc(1009);
    (void)last;
}

static void labelled(uint64_t tenant_id, uint64_t ctx_id, const char *label, int entered, int count)
{
    if (heapql_push(tenant_id, ctx_id, label) != (entered && heapql_is_loaded()))
        abort();
    hold(count);
    heapql_pop();
}

static void on_signal(int number)
{
    (void)number;
    labelled(1002, 0, "signal", 1, 3);
}

static void deep(int depth)
{
    char name[24];
    snprintf(name, sizeof name, "deep%d", depth);
    heapql_push(1003, 0, name);
    if (depth < 99)
        deep(depth + 1);
    else
        hold(7);
    heapql_pop();
}

static void too_many(void)
{
    char name[24];
    int nth, entered = 0;
    for (nth = 0; nth < 600; nth++) {
        snprintf(name, sizeof name, "many%d", nth);
        entered += heapql_push(1004, 0, name);
        heapql_pop();
    }
    if (heapql_is_loaded() && (entered == 0 || entered >= 512))
        abort();
    labelled(1004, 0, "one more", 0, 2);
}

int main(void)
{
    static heapql_label_t no_tenant = HEAPQL_LABEL(0, 0, "no tenant");
    static heapql_label_t no_text = HEAPQL_LABEL(1001, 1, NULL);
    heapql_scope_t scope;

    heapql_pop();
    hold(1);
    labelled(1001, 0, NULL, 1, 10);
    labelled(1001, 2, "abcdefghijklmnopqrstuvwxyz", 1, 11);
    labelled(1001, 3, "fourteen bytes\xc3\xbc", 1, 12);
    labelled(1001, 4, "\xff\xfe", 1, 13);
    labelled(0, 0, "tenant 0", 0, 1);
    labelled((uint64_t)1 << 63, 0, "tenant 2^63", 0, 1);
    labelled(1001, (uint64_t)1 << 63, "ctx 2^63", 0, 1);
    labelled(INT64_MAX, INT64_MAX, "most", 1, 14);
    scope = heapql_enter(&no_tenant);
    if (scope != -1)
        abort();
    hold(1);
    heapql_leave(scope);
    scope = heapql_enter(&no_text);
    hold(15);
    heapql_leave(scope);
    if (heapql_is_loaded() && heapql_switch(9999) != heapql_switch(UINT16_MAX))
        abort();
    hold(1);
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    deep(0);
    hold(1);
    too_many();
    heapql_pop();
    hold(1);
    puts("ready");
    fflush(stdout);
    getchar();
    return 0;
}
