/* Labels in C: blocks and threads. Runs with HeapQL and without; the tests run it and ask for its rows.
 *
 *     cc -Iinclude examples/labels.c -o labels -pthread && heapql run --keep -- ./labels */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "heapql.h"

enum { BYTES = 3000 };

static heapql_label_t cache = HEAPQL_LABEL(1001, 12, "cache");
static heapql_label_t report_label = HEAPQL_LABEL(1001, 0, "report");

/* Kept until the end of the process. */
static void hold(int count)
{
    static void *volatile last;
    while (count-- > 0)
        last = malloc(BYTES);
    (void)last;
}

static void *report(void *nothing)
{
    heapql_scope_t scope = heapql_enter(&report_label);
    hold(20);
    heapql_leave(scope);
    return nothing;
}

/* A label that is known at run time only. */
static void shop(unsigned number)
{
    char name[24];
    snprintf(name, sizeof name, "shop%u", number);
    heapql_push(2000 + number, 0, name);
    hold(40);
    heapql_pop();
}

int main(void)
{
    pthread_t threads[4];
    heapql_scope_t scope;
    unsigned nth;

    hold(5);
    scope = heapql_enter(&cache);
    hold(10);
    report(NULL);
    hold(10);
    heapql_leave(scope);
    for (nth = 0; nth < 3; nth++)
        shop(nth);
    for (nth = 0; nth < 4; nth++)
        if (pthread_create(&threads[nth], NULL, report, NULL) != 0)
            return 1;
    for (nth = 0; nth < 4; nth++)
        pthread_join(threads[nth], NULL);
    puts("ready");
    fflush(stdout);
    getchar();
    return 0;
}
