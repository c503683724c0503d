/* What `rules.c` leaves open, where samples and glibc's objects meet: every function's errno, every way of resizing
 * from and to a sample, recycled memory, alignments beyond a page, and a process that is out of memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/resource.h>

#include "holds.h"

/* After each call errno is what it was before. */
#define KEEPS_ERRNO(call) \
    do { \
        errno = EXDEV; \
        call; \
        HOLDS(errno == EXDEV); \
    } while (0)

static void errnos(void)
{
    for (int round = 0; round < 600; round++) {
        size_t bytes = plain(round % 7 == 0 ? 200000 : 16 + (size_t)round);
        void *object = NULL, *others[6] = { 0 };
        KEEPS_ERRNO(object = kept(malloc(bytes)));
        KEEPS_ERRNO(object = kept(realloc(object, bytes * 2)));
        KEEPS_ERRNO(object = kept(realloc(object, bytes / 2 + 1)));
        KEEPS_ERRNO(object = kept(reallocarray(object, bytes, 3)));
        KEEPS_ERRNO(HOLDS(malloc_usable_size(object) >= bytes * 3));
        KEEPS_ERRNO(others[0] = kept(calloc(bytes, 1)));
        KEEPS_ERRNO(others[1] = kept(memalign(64, bytes)));
        KEEPS_ERRNO(others[2] = kept(aligned_alloc(64, bytes)));
        KEEPS_ERRNO(others[3] = kept(valloc(bytes)));
        KEEPS_ERRNO(others[4] = kept(pvalloc(bytes)));
        KEEPS_ERRNO(HOLDS(posix_memalign(&others[5], 128, bytes) == 0));
        KEEPS_ERRNO(free(object));
        for (int i = 0; i < 6; i++)
            KEEPS_ERRNO(free(others[i]));
        KEEPS_ERRNO(free(NULL));
    }
}

/* How often an object became what, seen at its size: [sample before][sample after]. */
static long resized[2][2];

static void resize(size_t from, size_t to)
{
    unsigned char *object = kept(malloc(plain(from)));
    int before = is_sampled(object);
    memset(object, 0x3c, from);
    object = kept(realloc(object, plain(to)));
    HOLDS(object && aligned(object, 16) && malloc_usable_size(object) >= to);
    HOLDS(all(object, from < to ? from : to, 0x3c));
    memset(object, 0x77, malloc_usable_size(object));
    resized[before][is_sampled(object)]++;
    free(object);
}

/* With 16..256 all four come up; in the other modes one. */
static void all_ways_of_resizing(void)
{
    static const size_t sizes[] = { 1, 24, 25, 100, 1000, 1009, 4000, 33000, 60000 };
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (int round = 0; round < 800; round++)
        for (int from = 0; from < SIZES; from++)
            resize(sizes[from], sizes[(from + round) % SIZES]);
    long kinds = 0;
    for (int i = 0; i < 4; i++)
        kinds += resized[i / 2][i % 2] > 0;
    HOLDS(kinds == 1 || kinds == 4 || (kinds == 3 && !resized[1][1]));
}

/* Also of a sample, which has to leave the pool for that. */
static void resizing_that_fails(void)
{
    for (int round = 0; round < 500; round++) {
        size_t bytes = round % 5 ? 200 : 50000;
        unsigned char *object = kept(malloc(plain(bytes)));
        memset(object, round, bytes);
        size_t usable = malloc_usable_size(object);
        errno = 0;
        HOLDS(kept(realloc(object, plain(PTRDIFF_MAX))) == NULL && errno == ENOMEM);
        HOLDS(malloc_usable_size(object) == usable && all(object, bytes, (unsigned char)round));
        free(object);
    }
}

/* Blocks that were written to the last byte come back as zeroes. */
static void recycled(void)
{
    static const size_t sizes[] = { 1, 16, 40, 100, 777, 3000, 9000, 33000, 70000, 200000 };
    for (int round = 0; round < 300; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *object = kept(calloc(plain(sizes[i]), 1));
            HOLDS(object && all(object, sizes[i], 0));
            memset(object, 0xee, malloc_usable_size(object));
            free(object);
        }
    for (int round = 0; round < 300; round++) {
        /* What realloc adds is not zero, what calloc gives is. */
        unsigned char *object = kept(realloc(kept(calloc(3, plain(11))), plain(500)));
        HOLDS(object && all(object, 33, 0));
        memset(object, 0xff, 500);
        free(object);
    }
}

static void alignments(void)
{
    for (int round = 0; round < 40; round++)
        for (size_t to = 16; to <= 4u << 20; to *= 2) {
            size_t bytes = to > 65536 ? 100 : to + 5;
            unsigned char *object = kept(memalign(plain(to), bytes));
            HOLDS(object && aligned(object, to) && malloc_usable_size(object) >= bytes);
            memset(object, 0x42, malloc_usable_size(object));
            object = kept(realloc(object, plain(bytes * 2)));
            HOLDS(object && all(object, bytes, 0x42));
            free(object);
        }
    /* memalign takes any alignment and rounds it up. */
    for (size_t to = 1; to < 5000; to = to * 3 / 2 + 1) {
        void *object = kept(memalign(plain(to), 50));
        HOLDS(object && aligned(object, 16) && aligned(object, to & -to));
        free(object);
    }
    void *untouched = &broken;
    HOLDS(posix_memalign(&untouched, plain(0), 8) == EINVAL && untouched == &broken);
    HOLDS(posix_memalign(&untouched, plain(16), SIZE_MAX) == ENOMEM && untouched == &broken);
    errno = 0;
    HOLDS(kept(pvalloc(plain(SIZE_MAX))) == NULL && errno == ENOMEM);
    HOLDS(kept(valloc(plain(SIZE_MAX))) == NULL && errno == ENOMEM);
}

/* Each is another, and can be freed and resized. */
static void nothings(void)
{
    void *objects[300];
    for (int i = 0; i < 300; i++) {
        objects[i] = i % 3 == 0 ? kept(malloc(plain(0)))
                   : i % 3 == 1 ? kept(calloc(plain(0), 0)) : kept(realloc(NULL, plain(0)));
        HOLDS(objects[i] && aligned(objects[i], 16));
        for (int k = 0; k < i; k++)
            HOLDS(objects[k] != objects[i]);
    }
    for (int i = 0; i < 300; i++)
        free(i % 2 ? objects[i] : kept(realloc(objects[i], plain(30))));
    for (int i = 0; i < 300; i++)
        HOLDS(kept(realloc(kept(malloc(plain(20))), plain(0))) == NULL);
    for (int i = 0; i < 300; i++)
        HOLDS(kept(realloc(kept(malloc(plain(60000))), plain(0))) == NULL);
}

/* No more address space, but what glibc and the recorder have reserved: who fails says so, who does not is silent. */
static void no_memory(void)
{
    struct rlimit before, none = { 0, 0 };
    void *held[64] = { 0 };
    getrlimit(RLIMIT_AS, &before);
    none.rlim_max = before.rlim_max;
    HOLDS(setrlimit(RLIMIT_AS, &none) == 0);
    for (int i = 0; i < 64; i++) {
        errno = EXDEV;
        held[i] = kept(malloc(plain(30000)));
        HOLDS(held[i] ? errno == EXDEV : errno == ENOMEM);
    }
    errno = EXDEV;
    char *huge = kept(malloc(plain(300u << 20)));
    HOLDS(huge ? errno == EXDEV : errno == ENOMEM);
    if (huge)
        huge[0] = huge[(300u << 20) - 1] = 1;
    free(huge);
    HOLDS(setrlimit(RLIMIT_AS, &before) == 0);
    for (int i = 0; i < 64; i++)
        free(held[i]);
}

int main(void)
{
    errnos();
    all_ways_of_resizing();
    resizing_that_fails();
    recycled();
    alignments();
    nothings();
    no_memory();
    return verdict();
}
