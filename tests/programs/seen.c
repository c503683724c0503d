/* A random program that prints everything the allocator lets it see: which calls fail, errno, alignments, usable sizes, whether
 * what fits stays where it is, and contents. Recorded or not, at whatever intervals, it prints the same.
 *
 * seen SEED CALLS ALLOCATOR: with "glibc" it also says what only glibc promises. glibc may give 16 bytes more than a request
 * needs where the rest of a chunk is too small for another: that depends on the heap's past and is left out of what is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 200, MAPPED = 128 << 10 };

static struct object {
    unsigned char *at;
    size_t bytes, usable;
    /* Its usable size depends on more than its size: on an alignment, or on what it was before. */
    int is_odd;
    unsigned char pattern;
} held[SLOTS];

static uint64_t state;
static int is_glibc;

static uint64_t dice(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* Small ones mostly; all octaves up to 3 MiB, and what no allocator gives. */
static size_t some_size(void)
{
    switch (dice(40)) {
    case 0: return 0;
    case 1: return PTRDIFF_MAX - dice(4096);
    case 2: return SIZE_MAX - dice(4096);
    case 3: return (size_t)1 << (12 + dice(10));
    case 4: case 5: return dice(3 << 20);
    case 6: case 7: return dice(100000);
    default: return dice(dice(3) ? 600 : 5000);
    }
}

static size_t seen_usable(const struct object *object)
{
    size_t usable = malloc_usable_size(object->at);
    if (usable < object->bytes) {
        printf("%zu of %zu bytes are usable\n", usable, object->bytes);
        exit(1);
    }
    return usable;
}

/* What may be printed of a usable size. */
static size_t plain(const struct object *object)
{
    size_t usable = object->usable;
    if (object->is_odd)
        return 0;
    if (!is_glibc)
        return usable;
    if (object->bytes >= MAPPED - 24)
        return 0;
    return usable >= object->bytes + 16 && usable >= 24 + 16 ? usable - 16 : usable;
}

static void check(const struct object *object, size_t bytes, const char *when)
{
    for (size_t i = 0; i < bytes; i++)
        if (object->at[i] != object->pattern) {
            printf("byte %zu of %zu is lost %s\n", i, object->bytes, when);
            exit(1);
        }
}

static void take(struct object *object, void *at, size_t bytes, int is_odd, const char *what)
{
    printf("%s %zu: %s errno %d", what, bytes, at ? "given" : "null", errno);
    if (at) {
        *object = (struct object){ at, bytes, 0, is_odd, (unsigned char)(1 + dice(250)) };
        object->usable = seen_usable(object);
        memset(at, object->pattern, object->usable);
        printf(" aligned %d usable %zu", (uintptr_t)at % 16 == 0 || object->usable < 16, plain(object));
    }
    puts("");
}

static void release(struct object *object)
{
    if (!object->at)
        return;
    check(object, object->usable, "at its end");
    errno = EXDEV;
    free(object->at);
    if (errno != EXDEV)
        printf("free: errno %d\n", errno);
    object->at = NULL;
}

static void make(struct object *object)
{
    size_t bytes = some_size(), align = (size_t)8 << dice(14);
    void *at = NULL;
    int failed;
    errno = EXDEV;
    switch (dice(8)) {
    case 0:
        at = calloc(1 + dice(4), bytes);
        if (at)
            for (size_t i = 0; i < bytes; i++)
                if (((unsigned char *)at)[i]) {
                    printf("byte %zu of %zu is not zero\n", i, bytes);
                    exit(1);
                }
        /* As if for one: what the others add is not looked at. */
        printf("calloc: %s errno %d\n", at ? "given" : "null", errno);
        free(at);
        return;
    case 1:
        failed = posix_memalign(&at, dice(6) ? align : dice(40), bytes);
        printf("posix_memalign: %d aligned %d\n", failed, failed ? 0 : (uintptr_t)at % 8 == 0);
        if (!failed)
            take(object, at, bytes, 1, "posix_memalign");
        return;
    case 2:
        at = memalign(align, bytes);
        printf("memalign: aligned %d\n", (uintptr_t)at % (is_glibc ? align : 8) == 0);
        take(object, at, bytes, 1, "memalign");
        return;
    case 3:
        if (bytes > SIZE_MAX / 2)
            return;
        bytes = (bytes + align - 1) / align * align;
        at = aligned_alloc(align, bytes);
        printf("aligned_alloc: aligned %d\n", (uintptr_t)at % (is_glibc ? align : 8) == 0);
        take(object, at, bytes, 1, "aligned_alloc");
        return;
    case 4:
        at = reallocarray(NULL, 1 + dice(3), bytes);
        printf("reallocarray: %s errno %d\n", at ? "given" : "null", is_glibc ? errno : 0);
        free(at);
        return;
    default:
        take(object, malloc(bytes), bytes, 0, "malloc");
    }
}

static void resize(struct object *object)
{
    size_t bytes = dice(3) ? some_size() : object->bytes + dice(40) - (object->bytes > 20 ? 20 : 0);
    size_t kept = object->usable < bytes ? object->usable : bytes;
    int fits = bytes && bytes <= object->bytes;
    check(object, object->usable, "before it is resized");
    errno = EXDEV;
    unsigned char *before = object->at, *at = realloc(before, bytes);
    if (at) {
        object->at = at;
        check(object, kept, "when it is resized");
        if (is_glibc && fits && object->bytes < MAPPED - 24)
            printf("it stays %d\n", at == before);
    } else if (bytes == 0) {
        object->at = NULL;
    } else {
        check(object, object->usable, "when it cannot be resized");
    }
    if (at || bytes == 0) {
        int was_mapped = object->bytes >= MAPPED - 24;
        take(object, at, bytes, object->is_odd || was_mapped || !is_glibc, "realloc");
    } else {
        printf("realloc %zu: null errno %d\n", bytes, errno);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    state = strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15 + 1;
    is_glibc = strcmp(argv[3], "glibc") == 0;
    /* Some allocators change errno when they begin. */
    void *volatile first = malloc(1);
    free(first);
    for (long left = atol(argv[2]); left > 0; left--) {
        struct object *object = &held[dice(SLOTS)];
        if (!object->at)
            make(object);
        else if (dice(2))
            resize(object);
        else
            release(object);
    }
    for (int i = 0; i < SLOTS; i++)
        release(&held[i]);
    puts("done");
    return 0;
}
