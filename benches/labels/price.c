/* What a scope costs a C program: `price WHAT COUNT` enters and leaves so many, and prints nanoseconds for each. Run by
 * run.py, under callgrind and by the clock. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "heapql.h"

static heapql_label_t fixed = HEAPQL_LABEL(1001, 0, "fixed");

static double now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(int argc, char **argv)
{
    long nth, count = argc > 2 ? atol(argv[2]) : 0;
    double started = now();
    if (count <= 0)
        return 2;
    if (!strcmp(argv[1], "loop")) {
        for (nth = 0; nth < count; nth++)
            __asm__ volatile("" ::: "memory");
    } else if (!strcmp(argv[1], "enter")) {
        for (nth = 0; nth < count; nth++)
            heapql_leave(heapql_enter(&fixed));
    } else if (!strcmp(argv[1], "push")) {
        for (nth = 0; nth < count; nth++) {
            heapql_push(1001, 0, "fixed");
            heapql_pop();
        }
    } else {
        return 2;
    }
    printf("%f\n", (now() - started) / count);
    return 0;
}
