/* A library that allocates and frees, for `dlopen.c`, `dlopen_odd.c` and `soak.c`, and one with part of an allocator of its own,
 * for `usable.c`. With EXTRA it is another one. */
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

/* Stands before glibc's when the library is preloaded, as that of a linked allocator does, which can only fail for objects that
 * are not its own. */
unsigned long malloc_usable_size(void *object)
{
    abort();
}

__attribute__((noinline)) void library_frees(void *object) { free(object); }
