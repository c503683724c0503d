/* A library that allocates, for `dlopen.c`, and one with part of an allocator of its own, for `usable.c`. */
#include <stdlib.h>

__attribute__((noinline)) void *library_makes(unsigned long bytes)
{
    char *object = malloc(bytes);
    *(volatile char *)object = 1;
    return object;
}

/* Stands before glibc's when the library is preloaded, as that of a linked allocator does, which can only fail for objects that
 * are not its own. */
unsigned long malloc_usable_size(void *object)
{
    abort();
}
