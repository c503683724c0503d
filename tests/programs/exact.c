/* Allocates on command, so that a test knows every object. Reads "KIND COUNT BYTES", "free KIND COUNT",
 * "grow COUNT BYTES" and "churn COUNT BYTES" from stdin and answers each with a line.
 * It uses neither stdio nor anything else that allocates: what it is told to allocate is all there is. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline)) static

enum { MOST = 50000 };

/* The store after the call keeps the compiler from turning it into a jump, which would hide the frame. */
static void *touched(void *object)
{
    if (object)
        *(volatile char *)object = 1;
    return object;
}

SITE void *by_malloc(size_t bytes) { return touched(malloc(bytes)); }
SITE void *by_calloc(size_t bytes) { return touched(calloc(1, bytes)); }
SITE void *by_realloc(size_t bytes) { return touched(realloc(NULL, bytes)); }
SITE void *by_reallocarray(size_t bytes) { return touched(reallocarray(NULL, 1, bytes)); }
SITE void *by_memalign(size_t bytes) { return touched(memalign(64, bytes)); }
SITE void *by_aligned_alloc(size_t bytes) { return touched(aligned_alloc(256, bytes)); }
SITE void *by_valloc(size_t bytes) { return touched(valloc(bytes)); }
SITE void *by_pvalloc(size_t bytes) { return touched(pvalloc(bytes)); }
SITE void *by_strdup(size_t bytes)
{
    static char text[65536];
    memset(text, 'x', bytes - 1);
    text[bytes - 1] = 0;
    return touched(strdup(text));
}
/* 60 calls further down. */
SITE void *down(size_t bytes, int calls) { return touched(calls > 0 ? down(bytes, calls - 1) : malloc(bytes)); }
SITE void *by_deep(size_t bytes) { return touched(down(bytes, 60)); }
SITE void *by_posix_memalign(size_t bytes)
{
    void *object = NULL;
    return posix_memalign(&object, 128, bytes) == 0 ? touched(object) : NULL;
}

static struct kind {
    const char *name;
    void *(*make)(size_t bytes);
    size_t count;
} kinds[] = {
    { "malloc", by_malloc, 0 },
    { "calloc", by_calloc, 0 },
    { "realloc", by_realloc, 0 },
    { "reallocarray", by_reallocarray, 0 },
    { "memalign", by_memalign, 0 },
    { "aligned_alloc", by_aligned_alloc, 0 },
    { "valloc", by_valloc, 0 },
    { "pvalloc", by_pvalloc, 0 },
    { "strdup", by_strdup, 0 },
    { "posix_memalign", by_posix_memalign, 0 },
    { "deep", by_deep, 0 },
};

/* What each kind holds. */
static void *held[sizeof kinds / sizeof *kinds][MOST];

static void say(const char *text)
{
    size_t bytes = strlen(text);
    while (bytes > 0) {
        ssize_t wrote = write(1, text, bytes);
        if (wrote <= 0)
            _exit(3);
        text += wrote;
        bytes -= (size_t)wrote;
    }
}

static struct kind *kind_named(const char *name)
{
    for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static int fill(struct kind *kind, size_t count, size_t bytes)
{
    void **objects = held[kind - kinds];
    for (size_t i = 0; i < count && kind->count < MOST; i++)
        if (!(objects[kind->count++] = kind->make(bytes)))
            return 0;
    return 1;
}

static int release(struct kind *kind, size_t count)
{
    for (size_t i = 0; i < count && kind->count > 0; i++)
        free(held[kind - kinds][--kind->count]);
    return 1;
}

SITE void *resized(void *object, size_t bytes) { return touched(realloc(object, bytes)); }

/* The first objects of kind malloc get another size. */
static int grow(size_t count, size_t bytes)
{
    for (size_t i = 0; i < count && i < kinds[0].count; i++)
        if (!(held[0][i] = resized(held[0][i], bytes)))
            return 0;
    return 1;
}

SITE void *short_lived(size_t bytes) { return touched(malloc(bytes)); }

static int churn(size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        free(short_lived(bytes));
    return 1;
}

static int obey(char *line)
{
    char *rest = NULL;
    char *verb = strtok_r(line, " ", &rest);
    struct kind *kind = kind_named(verb);
    int freeing = verb && strcmp(verb, "free") == 0;
    if (freeing)
        kind = kind_named(strtok_r(NULL, " ", &rest));
    char *count_text = strtok_r(NULL, " ", &rest);
    char *bytes_text = strtok_r(NULL, " ", &rest);
    size_t count = count_text ? strtoul(count_text, NULL, 10) : 0;
    size_t bytes = bytes_text ? strtoul(bytes_text, NULL, 10) : 0;
    if (freeing)
        return kind && release(kind, count);
    if (kind)
        return fill(kind, count, bytes);
    if (verb && strcmp(verb, "grow") == 0)
        return grow(count, bytes);
    if (verb && strcmp(verb, "churn") == 0)
        return churn(count, bytes);
    return 0;
}

/* One line at a time from stdin, byte by byte: it is slow and needs no buffer. */
static int next_line(char *line, size_t room)
{
    size_t used = 0;
    while (used + 1 < room) {
        if (read(0, line + used, 1) != 1)
            return 0;
        if (line[used] == '\n')
            break;
        used++;
    }
    line[used] = 0;
    return 1;
}

static void say_pid(void)
{
    char text[32] = "ready ";
    char digits[12];
    int count = 0;
    size_t at = strlen(text);
    for (int pid = getpid(); pid > 0; pid /= 10)
        digits[count++] = (char)('0' + pid % 10);
    while (count > 0)
        text[at++] = digits[--count];
    text[at++] = '\n';
    text[at] = 0;
    say(text);
}

int main(void)
{
    char line[256];
    say_pid();
    while (next_line(line, sizeof line)) {
        if (strcmp(line, "quit") == 0)
            return 0;
        say(obey(line) ? "ok\n" : "failed\n");
    }
    return 0;
}
