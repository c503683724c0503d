/* A preloaded library as others write them: counts calls of malloc, puts a header of 16 bytes before each object, and says at
 * the end whether as many were freed as it should. What it does not define (posix_memalign and its like) is not its own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 16, OWN = 0x600df00d };
static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static char early[65536];
static size_t early_used;
static _Atomic long live, wrong;

/* Not in its constructor: others' come before it. */
static void look_up(void)
{
    static int looking;
    if (next_malloc || looking)
        return;
    looking = 1;
    next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
}

static void *marked(char *object)
{
    if (!object)
        return NULL;
    *(uint64_t *)object = OWN;
    live++;
    return object + HEADER;
}

/* Start of what the next allocator gave, or NULL for what this one did not. */
static char *unmarked(void *object)
{
    char *start = (char *)object - HEADER;
    if (*(uint64_t *)start != OWN) {
        wrong++;
        return NULL;
    }
    *(uint64_t *)start = 0;
    live--;
    return start;
}

static int is_early(void *object)
{
    return (char *)object >= early && (char *)object < early + sizeof early;
}

void *malloc(size_t size)
{
    look_up();
    if (!next_malloc) {
        void *object = early + early_used;
        early_used += (size + 15) & ~(size_t)15;
        return early_used <= sizeof early ? object : NULL;
    }
    return marked(next_malloc(size + HEADER));
}

void *calloc(size_t count, size_t size)
{
    look_up();
    if (!next_calloc)
        return malloc(count * size);
    if (size && count > (SIZE_MAX - HEADER) / size)
        return NULL;
    return marked(next_calloc(1, count * size + HEADER));
}

void *realloc(void *object, size_t size)
{
    look_up();
    if (!object)
        return malloc(size);
    char *start = unmarked(object);
    return start ? marked(next_realloc(start, size + HEADER)) : NULL;
}

void free(void *object)
{
    if (!object || is_early(object))
        return;
    char *start = unmarked(object);
    if (start)
        next_free(start);
}

__attribute__((destructor)) static void end(void)
{
    const char *said = wrong == 0 && live >= 0 ? "wrapper: none was strange\n" : "wrapper: strange objects\n";
    if (write(2, said, strlen(said)) < 0)
        _exit(9);
}
