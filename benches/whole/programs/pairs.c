/* Pairs of malloc and free of one size: nanoseconds of processor time each. pairs BYTES PAIRS TOUCH: TOUCH 1 writes one byte
 * of each object, 2 all of them, in fewer pairs the larger they are. Not part of run.py: docs/decisions/0015 has what it said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    size_t bytes = strtoul(argv[1], NULL, 10);
    long pairs = atol(argv[2]);
    int touch = atoi(argv[3]);
    if (touch == 2)
        pairs = (long)((double)pairs / ((double)bytes / 65536 + 1)) + 1;
    /* The first of its size is another matter for every allocator. */
    void *volatile first = malloc(bytes);
    free(first);
    double began = cpu_seconds();
    for (long i = 0; i < pairs; i++) {
        char *object = malloc(bytes);
        if (touch == 1)
            *(volatile char *)object = 1;
        else if (touch == 2)
            memset(object, 1, bytes);
        __asm__ volatile("" : : "r"(object) : "memory");
        free(object);
    }
    printf("%.0f\n", (cpu_seconds() - began) / (double)pairs * 1e9);
    return 0;
}
