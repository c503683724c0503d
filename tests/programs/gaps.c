/* Says which of its allocations were sampled. Allocation i has the size FIRST + i and a stack of its own: thirteen
 * frames, one per bit of i, each `zero` or `one`. So a sample's row names its allocation, and the differences of two
 * neighbours are the intervals. For each line on stdin: 8192 allocations, "ok"; on the next, all are freed, "ok". */
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

enum { BITS = 13, COUNT = 1 << BITS, FIRST = 16 };
static void *held[COUNT];
static volatile int after;

__attribute__((noinline)) static void leaf(unsigned i)
{
    held[i] = malloc(FIRST + i);
    after++;
}

static void zero(unsigned i, int bits);
static void one(unsigned i, int bits);

static inline __attribute__((always_inline)) void descend(unsigned i, int bits)
{
    if (bits == 0)
        leaf(i);
    else if (i >> (bits - 1) & 1)
        one(i, bits - 1);
    else
        zero(i, bits - 1);
    after++;
}

__attribute__((noinline)) static void zero(unsigned i, int bits) { descend(i, bits); }
/* Not the same code, or the compiler would make them one function. */
__attribute__((noinline)) static void one(unsigned i, int bits) { descend(i, bits); after += 2; }

static int line(void)
{
    char byte = 0;
    while (read(0, &byte, 1) == 1)
        if (byte == '\n')
            return 1;
    return 0;
}

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        _exit(3);
}

int main(void)
{
    say("ready\n");
    while (line()) {
        for (unsigned i = 0; i < COUNT; i++)
            descend(i, BITS);
        say("ok\n");
        if (!line())
            break;
        for (unsigned i = 0; i < COUNT; i++)
            free(held[i]);
        say("ok\n");
    }
    return 0;
}
