/* How much of a thread's stack an allocation takes that is sampled, measured on painted stacks. Prints one line for
 * each measured way: its name and the bytes beyond those of a thread that does nothing. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "holds.h"

enum { STACK = 256 << 10, PAINT = 0xa5, GUARD = 4096 };

typedef void (*way)(void);

static void *run(void *argument)
{
    (*(way *)argument)();
    return NULL;
}

static size_t used(way work)
{
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    size_t untouched = 0;
    mprotect(stack, GUARD, PROT_NONE);
    memset(stack + GUARD, PAINT, STACK - GUARD);
    pthread_attr_init(&attributes);
    HOLDS(pthread_attr_setstack(&attributes, stack + GUARD, STACK - GUARD) == 0);
    HOLDS(pthread_create(&thread, &attributes, run, &work) == 0);
    pthread_join(thread, NULL);
    while ((unsigned char)stack[GUARD + untouched] == PAINT)
        untouched++;
    munmap(stack, STACK);
    return STACK - GUARD - untouched;
}

static void nothing(void) { }

/* Not glibc's own need: what its malloc takes is measured without the recorder by the same program. */
SITE void one(size_t bytes) { free(kept(malloc(plain(bytes)))); }
static void new_stack(void) { one(40); }
static void known_stack(void) { one(40); one(40); one(40); }
static void resized(void) { free(kept(realloc(kept(malloc(plain(40))), plain(100000)))); }
static void large(void) { one(20 << 20); }
static void zeroed(void) { free(kept(calloc(plain(30), 40))); }
static void paged(void) { free(kept(memalign(plain(4096), 40))); }

/* On a stack that belongs to no thread the recorder has to look for its bounds. */
static void other_stack_of(const char *name, way work)
{
    static char stack[STACK];
    memset(stack, PAINT, sizeof stack);
    char *top = stack + sizeof stack - 64;
    __asm__ volatile("movq %%rsp, %%rbx\n\tmovq %0, %%rsp\n\tcall *%1\n\tmovq %%rbx, %%rsp"
                     : : "r"(top), "r"(work)
                     : "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    size_t untouched = 0;
    while ((unsigned char)stack[untouched] == PAINT)
        untouched++;
    say("%s %zu\n", name, sizeof stack - untouched);
}

int main(void)
{
    static const struct { const char *name; way work; } ways[] = {
        { "first", new_stack }, { "new", new_stack }, { "known", known_stack }, { "resized", resized },
        { "large", large }, { "zeroed", zeroed }, { "paged", paged },
    };
    /* Nothing has been allocated yet: the ledger is opened here. */
    other_stack_of("opening", new_stack);
    size_t idle = used(nothing);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        say("%s %zu\n", ways[i].name, used(ways[i].work) - idle);
    other_stack_of("other_stack", known_stack);
    say("idle %zu\n", idle);
    return verdict();
}
