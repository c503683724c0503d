/* A library that allocates and frees, for `dlopen.c` and `dlopen_odd.c`. */
#include <stdlib.h>

__attribute__((noinline)) void *library_makes(unsigned long bytes)
{
    char *object = malloc(bytes);
    *(volatile char *)object = 1;
    return object;
}

__attribute__((noinline)) void library_frees(void *object) { free(object); }
