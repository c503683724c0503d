/* What programs that check themselves share: conditions that must hold, values that the compiler cannot see through,
 * and lines about the objects that are left live, which the test compares with the ledger. Included by several. */
#ifndef HOLDS_H
#define HOLDS_H

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline, unused)) static

static int broken;

/* Never through stdio, whose buffers would be objects as well. */
__attribute__((format(printf, 1, 2), unused)) static void say(const char *format, ...)
{
    char line[256];
    va_list values;
    va_start(values, format);
    int bytes = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (write(1, line, (size_t)bytes) != bytes)
        _exit(9);
}

#define HOLDS(condition) \
    do { \
        if (!(condition)) { \
            say("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            broken = 1; \
        } \
    } while (0)

/* The compiler knows what malloc does and would answer for it. Of each thread, or one would get what another kept. */
static __thread void *volatile sink;
static __thread volatile size_t opaque;
SITE size_t plain(size_t value) { opaque = value; return opaque; }
SITE void *kept(void *object) { sink = object; return sink; }

SITE int aligned(const void *object, size_t to) { return (uintptr_t)object % to == 0; }

SITE int all(const void *object, size_t count, unsigned char value)
{
    const unsigned char *bytes = (const unsigned char *)object;
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != value)
            return 0;
    return 1;
}

/* Whether an object is a sample: only those lie from a quarter of the addresses on, where nothing else is placed. */
SITE int is_sampled(void *object)
{
    uintptr_t stack = (uintptr_t)&object, top = 1;
    while (top <= stack)
        top *= 2;
    return (uintptr_t)object - top / 4 < top / 16 + top / 32;
}

/* So many objects of this size, which nothing else has, are live when the program ends. */
SITE void left(size_t bytes, long count) { say("live %zu %ld\n", bytes, count); }

/* To be the last line. */
SITE int verdict(void)
{
    say(broken ? "broken\n" : "all hold\n");
    return broken;
}

#endif
