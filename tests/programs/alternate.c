/* Allocates from two places in turn, COUNT times each, and holds everything: the program that an even interval fools.
 * usage: alternate COUNT */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SITE __attribute__((noinline)) static

/* Different sizes tell the two apart: what A holds is a multiple of 32, of B of 48. */
SITE char *site_a(void) { char *object = malloc(32); *(volatile char *)object = 1; return object; }
SITE char *site_b(void) { char *object = malloc(48); *(volatile char *)object = 1; return object; }

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1000;
    char **held = malloc((size_t)count * 2 * sizeof *held);
    for (long i = 0; i < count; i++) {
        held[2 * i] = site_a();
        held[2 * i + 1] = site_b();
    }
    char byte;
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
    return held[0] == NULL;
}
