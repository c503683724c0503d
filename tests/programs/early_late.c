/* Allocations before main and after it: of .preinit_array, an IFUNC resolver and constructors; of atexit, destructors,
 * thread-local storage that is taken down, and whatever comes last. The first two come before the C library has been
 * started, when there is no environment that could say where to record: they are served, not recorded. */
#define _GNU_SOURCE
#include "holds.h"

extern void *__dso_handle;
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);

static void *before_libraries[10], *by_resolver, *by_constructor, *for_destructor;

SITE void *at_preinit(void) { return kept(malloc(plain(1409))); }
SITE void preinit(void)
{
    for (int i = 0; i < 10; i++)
        before_libraries[i] = at_preinit();
    free(before_libraries[0]);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinits[])(void) = { preinit };

static int answer(void) { return 42; }
SITE int (*resolve(void))(void)
{
    by_resolver = malloc(1423);
    return answer;
}
int resolved(void) __attribute__((ifunc("resolve")));

__attribute__((constructor(101))) static void construct(void)
{
    by_constructor = kept(calloc(1, plain(1427)));
    for_destructor = kept(malloc(plain(1429)));
}

SITE void *late(void) { return kept(malloc(plain(1433))); }
SITE void *later(void) { return kept(malloc(plain(1439))); }
SITE void *last(void) { return kept(malloc(plain(1447))); }

static void at_exit(void)
{
    free(before_libraries[1]);
    for (int i = 0; i < 5; i++)
        late();
}

static void thread_local_end(void *object)
{
    free(object);
    for (int i = 0; i < 6; i++)
        later();
}

/* Of all destructors the last one. */
__attribute__((destructor(101))) static void destruct(void)
{
    free(for_destructor);
    for (int i = 0; i < 7; i++)
        free(kept(malloc(plain(64))));
    last();
    left(1409, 0);
    left(1423, 0);
    left(1427, 1);
    left(1429, 0);
    left(1433, 5);
    left(1439, 6);
    left(1447, 1);
    left(1451, 0);
    if (verdict())
        _exit(1);
}

int main(void)
{
    HOLDS(before_libraries[9] && by_resolver && by_constructor && for_destructor && resolved() == 42);
    HOLDS(all(by_constructor, 1427, 0));
    atexit(at_exit);
    HOLDS(__cxa_thread_atexit_impl(thread_local_end, kept(malloc(plain(1451))), &__dso_handle) == 0);
    return 0;
}
