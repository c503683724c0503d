/* The data set of the .slt files: what it holds never changes. It uses nothing that allocates.
 *
 *   site       objects  bytes each
 *   few             3         1000
 *   many           40          250   (60 made, 20 freed)
 *   large           1       100000
 *   tiny            7           24
 *   gone            -            -   (10 made, all freed)
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline)) static

static void *held[128];
static int used;

SITE void *touched(void *object)
{
    *(volatile char *)object = 1;
    held[used++] = object;
    return object;
}

SITE void *few(void) { return touched(malloc(1000)); }
SITE void *many(void) { return touched(malloc(250)); }
SITE void *large(void) { return touched(malloc(100000)); }
SITE void *tiny(void) { return touched(malloc(24)); }
SITE void *gone(void) { return touched(malloc(4000)); }

__attribute__((noinline, noclone)) static void times(int count, void *(*site)(void))
{
    for (int i = 0; i < count; i++)
        site();
}

static void drop(int count)
{
    while (count-- > 0)
        free(held[--used]);
}

int main(void)
{
    char byte;
    times(60, many);
    drop(20);
    times(3, few);
    times(1, large);
    times(7, tiny);
    times(10, gone);
    drop(10);
    if (write(1, "ready\n", 6) != 6)
        return 1;
    while (read(0, &byte, 1) == 1) {
    }
    return 0;
}
