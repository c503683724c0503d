/* A library that allocates and frees, for `dlopen.c`, `dlopen_odd.c` and `soak.c`. With EXTRA it is another one. */
#include <stdlib.h>

#ifndef EXTRA
#define EXTRA 0
#endif

__attribute__((noinline)) void *library_makes(unsigned long bytes)
{
    char *object = malloc(bytes + EXTRA);
    *(volatile char *)object = 1;
    return object;
}

__attribute__((noinline)) void library_frees(void *object) { free(object); }
