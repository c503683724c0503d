/* Every function that allocates, every way to resize and free, on its own and on others' objects; ends with 0 if what they
 * hold is kept. The aligned ones only with an argument: an allocator without them gets glibc's objects to free. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *filled(void *object, size_t bytes)
{
    if (!object)
        exit(3);
    return memset(object, 0x5a, bytes);
}

static void ended(unsigned char *object, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (object[i] != 0x5a)
            exit(4);
    free(object);
}

static void aligned(size_t bytes)
{
    void *object = NULL;
    if (posix_memalign(&object, 64, bytes) != 0 || (uintptr_t)object % 64 != 0)
        exit(5);
    ended(filled(object, bytes), bytes);
    ended(filled(aligned_alloc(128, (bytes + 127) / 128 * 128), bytes), bytes);
    ended(filled(memalign(256, bytes), bytes), bytes);
    ended(filled(valloc(bytes), bytes), bytes);
    object = filled(malloc(bytes), bytes);
    if (malloc_usable_size(object) < bytes)
        exit(6);
    ended(object, bytes);
}

int main(int argc, char **argv)
{
    (void)argv;
    for (size_t i = 0; i < 6000; i++) {
        size_t bytes = 1 + i * 37 % 9000;
        unsigned char *object = filled(i % 2 ? malloc(bytes) : calloc(1, bytes), bytes);
        object = realloc(object, bytes * 2);
        ended(filled(object, bytes), bytes);
        object = reallocarray(NULL, bytes, 3);
        object = reallocarray(filled(object, bytes), bytes, 5);
        ended(object, bytes);
        free(strdup("a string"));
        if (argc > 1)
            aligned(bytes);
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t got = getline(&line, &room, stdin);
    printf("all kept %zd\n", got);
    free(line);
    return 0;
}
