/* Objects of one size, held, by a program whose next call depends on what it saw of the allocator: usable sizes, addresses,
 * whether what was resized stayed where it was. Recorded, an estimate of that is right whatever
 * the program looks at: no call that it makes can follow from a sample being one.
 *
 * adversary MODE: 0 looks at nothing. 1 resizes to the same size what has more than a tenth of slack, 2 all, 3 all to twice the
 * size, 4 what has no slack. 5 frees and asks again for what has no slack, 6 what lies at a multiple of 64 of 16 in a row,
 * 7 shrinks all and frees what has moved. */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 100000, BYTES = 304 };

__attribute__((noinline)) static void *make(size_t bytes)
{
    void *object = malloc(bytes);
    *(volatile char *)object = 1;
    return object;
}
__attribute__((noinline)) static void *again(void *object, size_t bytes)
{
    object = realloc(object, bytes);
    *(volatile char *)object = 1;
    return object;
}

int main(int argc, char **argv)
{
    int mode = argc > 1 ? atoi(argv[1]) : 0;
    int in_a_row = 0;
    for (int i = 0; i < COUNT; i++) {
        char *object = make(BYTES);
        size_t usable = malloc_usable_size(object), bytes = BYTES;
        uintptr_t before = (uintptr_t)object;
        if ((mode == 1 && usable > BYTES + BYTES / 10) || mode == 2 || (mode == 4 && usable == BYTES))
            object = again(object, BYTES);
        if (mode == 3)
            object = again(object, bytes = 2 * BYTES);
        if (mode == 5 && usable == BYTES) {
            free(object);
            object = make(BYTES);
        }
        in_a_row = before % 64 == 0 ? in_a_row + 1 : 0;
        if (mode == 6 && in_a_row >= 16) {
            free(object);
            object = make(BYTES);
        }
        if (mode == 7) {
            object = again(object, bytes = BYTES - 32);
            if ((uintptr_t)object != before) {
                free(object);
                object = make(bytes);
            }
        }
        memset(object, 1, bytes);
    }
    puts("ready");
    fflush(stdout);
    char byte;
    return read(0, &byte, 1) < 0;
}
