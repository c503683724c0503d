/* What the C library promises of the malloc family, checked. Prints each promise that does not hold and ends with 1. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int broken;

#define HOLDS(condition) \
    do { \
        if (!(condition)) { \
            printf("line %d: %s\n", __LINE__, #condition); \
            broken = 1; \
        } \
    } while (0)

static int aligned(const void *object, size_t to) { return (uintptr_t)object % to == 0; }

/* The compiler knows what malloc does and would answer for it. */
static void *volatile sink;
static volatile size_t opaque;
static size_t plain(size_t value) { opaque = value; return opaque; }
static void *kept(void *object) { sink = object; return sink; }

static int all(const unsigned char *bytes, size_t count, unsigned char value)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != value)
            return 0;
    return 1;
}

static void sizes(void)
{
    for (size_t bytes = 0; bytes < 5000; bytes = bytes * 5 / 4 + 1) {
        unsigned char *object = kept(malloc(plain(bytes)));
        HOLDS(object && aligned(object, 16));
        HOLDS(malloc_usable_size(object) >= bytes);
        memset(object, 0xab, malloc_usable_size(object));
        free(object);
    }
    HOLDS(malloc_usable_size(NULL) == 0);
    free(kept(NULL));
}

static void zeroed(void)
{
    for (int round = 0; round < 200; round++) {
        unsigned char *dirty = kept(malloc(plain(777)));
        memset(dirty, 0xff, 777);
        free(dirty);
        unsigned char *clean = kept(calloc(plain(7), 111));
        HOLDS(clean && all(clean, 777, 0));
        free(clean);
    }
    unsigned char *big = kept(calloc(1, plain(40u << 20)));
    HOLDS(big && all(big, 4096, 0) && big[(40u << 20) - 1] == 0);
    free(big);
    void *none = kept(calloc(plain(0), 8));
    HOLDS(none != NULL);
    free(none);
}

static void moved(void)
{
    for (size_t from = 1; from < 300000; from = from * 3 + 1)
        for (size_t to = 1; to < 300000; to = to * 4 + 3) {
            unsigned char *object = kept(malloc(plain(from)));
            /* Programs use what malloc_usable_size tells them of, and realloc keeps it. */
            size_t used = malloc_usable_size(object);
            memset(object, 0x5c, used);
            object = kept(realloc(object, plain(to)));
            HOLDS(object && aligned(object, 16) && malloc_usable_size(object) >= to);
            HOLDS(all(object, used < to ? used : to, 0x5c));
            free(object);
        }
    void *fresh = kept(realloc(NULL, plain(50)));
    HOLDS(fresh != NULL);
    errno = 0;
    HOLDS(kept(realloc(fresh, plain(0))) == NULL); /* glibc frees it */
}

static void alignments(void)
{
    for (size_t to = sizeof(void *); to <= 1 << 16; to *= 2) {
        void *object = NULL;
        HOLDS(posix_memalign(&object, to, plain(100)) == 0 && aligned(object, to));
        HOLDS(malloc_usable_size(object) >= 100);
        free(object);
        object = kept(memalign(to, plain(33)));
        HOLDS(object && aligned(object, to));
        object = kept(realloc(object, plain(5000)));
        HOLDS(object != NULL);
        free(object);
        object = kept(aligned_alloc(to, plain(to * 2)));
        HOLDS(object && aligned(object, to));
        free(object);
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *object = kept(valloc(plain(10)));
    HOLDS(object && aligned(object, page));
    free(object);
    object = kept(pvalloc(plain(10)));
    HOLDS(object && aligned(object, page) && malloc_usable_size(object) >= page);
    free(object);
    void *untouched = &broken;
    HOLDS(posix_memalign(&untouched, plain(3), 8) == EINVAL && untouched == &broken);
    HOLDS(posix_memalign(&untouched, plain(24), 8) == EINVAL);
    HOLDS(posix_memalign(&untouched, plain(4), 8) == EINVAL); /* less than a pointer */
}

static void impossible(void)
{
    const size_t huge[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2 + 1, PTRDIFF_MAX };
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        errno = 0;
        HOLDS(kept(malloc(plain(huge[i]))) == NULL && errno == ENOMEM);
        errno = 0;
        HOLDS(kept(memalign(64, plain(huge[i]))) == NULL && errno == ENOMEM);
        void *object = NULL;
        HOLDS(posix_memalign(&object, 64, plain(huge[i])) == ENOMEM);
    }
    errno = 0;
    HOLDS(kept(calloc(plain(SIZE_MAX / 2), 3)) == NULL && errno == ENOMEM);
    errno = 0;
    HOLDS(kept(reallocarray(NULL, plain(SIZE_MAX / 2), 3)) == NULL && errno == ENOMEM);
    /* What cannot grow stays as it was. */
    unsigned char *object = kept(malloc(plain(64)));
    memset(object, 0x11, 64);
    errno = 0;
    HOLDS(kept(realloc(object, plain(SIZE_MAX - 64))) == NULL && errno == ENOMEM && all(object, 64, 0x11));
    HOLDS(kept(reallocarray(object, plain(SIZE_MAX / 4), 16)) == NULL && all(object, 64, 0x11));
    free(object);
}

static void errnos(void)
{
    for (int round = 0; round < 1000; round++) {
        errno = EXDEV;
        void *object = kept(malloc(plain(200)));
        HOLDS(errno == EXDEV);
        free(object);
        HOLDS(errno == EXDEV);
    }
}

static void big(void)
{
    for (size_t bytes = 15u << 20; bytes <= 80u << 20; bytes += 13u << 20) {
        unsigned char *object = kept(malloc(plain(bytes)));
        HOLDS(object && aligned(object, 16) && malloc_usable_size(object) >= bytes);
        object[0] = 1;
        object[bytes - 1] = 2;
        object = kept(realloc(object, plain(bytes + (9u << 20))));
        HOLDS(object && object[0] == 1 && object[bytes - 1] == 2);
        object = kept(realloc(object, plain(100)));
        HOLDS(object && object[0] == 1);
        free(object);
    }
}

int main(void)
{
    sizes();
    zeroed();
    moved();
    alignments();
    impossible();
    errnos();
    big();
    puts(broken ? "broken" : "all hold");
    return broken;
}
