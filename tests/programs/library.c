/* A library that allocates, for `dlopen.c`. */
#include <stdlib.h>

__attribute__((noinline)) void *library_makes(unsigned long bytes)
{
    char *object = malloc(bytes);
    *(volatile char *)object = 1;
    return object;
}
