/* Libraries that come and go a thousand times and leave their objects behind, one that is bound to its own libraries
 * first, and one with a C library of its own. usage: dlopen_odd LIBRARY */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>

#include "holds.h"

typedef void *(*maker)(unsigned long);

static void *opened(const char *path, int flags, maker *make)
{
    void *library = dlopen(path, flags);
    HOLDS(library != NULL);
    *make = library ? (maker)dlsym(library, "library_makes") : NULL;
    HOLDS(*make != NULL);
    return library;
}

SITE void *by_program(void) { return kept(malloc(plain(1511))); }

static void again_and_again(const char *path)
{
    void *of_program[2] = { 0 }, *of_library[4] = { 0 };
    for (int i = 0; i < 1000; i++) {
        maker make;
        void *library = opened(path, i % 2 ? RTLD_NOW : RTLD_LAZY, &make);
        if (!library)
            return;
        void *object = make(1523);
        HOLDS(dlclose(library) == 0);
        /* It outlives its library, some even several of its successors. */
        memset(object, 1, 1523);
        free(of_library[i % 4]);
        of_library[i % 4] = object;
        free(of_program[i % 2]);
        of_program[i % 2] = by_program();
    }
    left(1511, 2);
    left(1523, 4);
}

/* Bound to libc's own malloc; what the program allocated is freed by the program and the other way round. */
static void bound_deeply(const char *path)
{
    maker make;
    void *library = opened(path, RTLD_NOW | RTLD_DEEPBIND, &make);
    void (*release)(void *) = library ? (void (*)(void *))dlsym(library, "library_frees") : NULL;
    HOLDS(release != NULL);
    if (!release)
        return;
    for (int i = 0; i < 100; i++) {
        free(make(1531));
        release(make(1531));
        release(kept(malloc(plain(1543))));
        release(kept(strdup("what libc allocates for the caller")));
    }
    HOLDS(dlclose(library) == 0);
    left(1543, 0);
}

/* A second C library, with a heap of its own, which nobody records. */
static void of_another_namespace(const char *path)
{
    for (int i = 0; i < 10; i++) {
        void *library = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
        HOLDS(library != NULL);
        if (!library)
            return;
        maker make = (maker)dlsym(library, "library_makes");
        void (*release)(void *) = (void (*)(void *))dlsym(library, "library_frees");
        void *object = make(1549);
        memset(object, 7, 1549);
        free(kept(malloc(plain(1553))));
        release(object);
        HOLDS(dlclose(library) == 0);
    }
    left(1549, 0);
    left(1553, 0);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    again_and_again(argv[1]);
    of_another_namespace(argv[1]);
    bound_deeply(argv[1]);
    return verdict();
}
