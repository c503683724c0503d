/* What the C library allocates for the program, its own entry points, and its reports and knobs. */
#define _GNU_SOURCE
#include <argz.h>
#include <dirent.h>
#include <errno.h>
#include <mcheck.h>
#include <obstack.h>
#include <regex.h>
#include <search.h>
#include <wchar.h>

#include "holds.h"

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void __libc_free(void *object);

static void texts(void)
{
    char *text = NULL;
    for (int i = 0; i < 50; i++) {
        HOLDS(asprintf(&text, "%d %s", i, "and so on") > 0 && strstr(text, "so on"));
        free(text);
        free(kept(strdup("copied")));
        free(kept(strndup("copied in part", 6)));
        free(kept(wcsdup(L"wide")));
        free(kept(realpath("/proc/self/exe", NULL)));
        free(kept(get_current_dir_name()));
        free(kept(getcwd(NULL, 0)));
    }
}

static void streams(void)
{
    for (int i = 0; i < 30; i++) {
        char *line = NULL, *memory = NULL;
        size_t room = 0, bytes = 0;
        long lines = 0;
        FILE *file = fopen("/proc/self/status", "r");
        while (getline(&line, &room, file) > 0)
            lines++;
        HOLDS(lines > 10 && room > 0);
        rewind(file);
        HOLDS(getdelim(&line, &room, ':', file) == 5 && strcmp(line, "Name:") == 0);
        fclose(file);
        /* Its caller's buffer, grown by the library. */
        line = kept(realloc(line, 10));
        free(line);
        file = open_memstream(&memory, &bytes);
        for (int k = 0; k < 1000; k++)
            fprintf(file, "%d,", k);
        fclose(file);
        HOLDS(bytes == 3890 && strlen(memory) == bytes);
        free(memory);
    }
}

static int compare(const void *one, const void *other) { return strcmp(one, other); }

static void structures(void)
{
    struct obstack stack;
    struct dirent **names;
    obstack_init(&stack);
    for (int i = 0; i < 2000; i++)
        HOLDS(obstack_alloc(&stack, 100) != NULL);
    obstack_free(&stack, NULL);
    void *tree = NULL;
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i * 7 % 200);
        HOLDS(tsearch(strdup(name), &tree, compare) != NULL);
    }
    tdestroy(tree, free);
    int found = scandir("/proc/self", &names, NULL, alphasort);
    HOLDS(found > 10);
    for (int i = 0; i < found; i++)
        free(names[i]);
    free(names);
    regex_t expression;
    HOLDS(regcomp(&expression, "a(b|c)*d", REG_EXTENDED) == 0 && regexec(&expression, "abcbcd", 0, NULL, 0) == 0);
    regfree(&expression);
    char *vector = NULL;
    size_t bytes = 0;
    for (int i = 0; i < 100; i++)
        HOLDS(argz_add(&vector, &bytes, "entry") == 0);
    HOLDS(bytes == 600);
    free(vector);
}

/* Its objects are not recorded, and may be freed by either name. The other way round is glibc's to judge: `__libc_free`
 * of what malloc returned is not for programs that are bound at their start (docs/decisions/0008). */
static void own_entry_points(void)
{
    for (int i = 0; i < 300; i++) {
        free(kept(__libc_malloc(plain(1901))));
        __libc_free(kept(__libc_malloc(plain(1901))));
        char *object = kept(realloc(kept(__libc_calloc(19, plain(100))), plain(3000)));
        HOLDS(object && all(object, 1900, 0));
        free(object);
    }
    left(1901, 0);
}

static void knobs(void)
{
    HOLDS(mallopt(M_MMAP_THRESHOLD, 64 << 10) == 1);
    HOLDS(mallopt(M_ARENA_MAX, 2) == 1);
    HOLDS(mallopt(M_PERTURB, 0x55) == 1);
    unsigned char *object = kept(calloc(1, plain(500)));
    HOLDS(object && all(object, 500, 0));
    free(object);
    HOLDS(mallopt(M_PERTURB, 0) == 1);
    object = kept(malloc(plain(80 << 10)));
    struct mallinfo2 info = mallinfo2();
    HOLDS(info.arena > 0);
    free(object);
    malloc_trim(0);
    char *report = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&report, &bytes);
    HOLDS(malloc_info(0, file) == 0);
    fclose(file);
    HOLDS(bytes > 100 && strstr(report, "<malloc"));
    free(report);
    /* It writes to stderr, which is not to be seen. */
    file = stderr;
    stderr = fopen("/dev/null", "w");
    malloc_stats();
    fclose(stderr);
    stderr = file;
    /* Of a library that is not loaded, they do nothing and say so. */
    HOLDS(mcheck(NULL) == -1);
    mtrace();
    free(kept(malloc(10)));
    muntrace();
}

int main(void)
{
    texts();
    streams();
    structures();
    own_entry_points();
    knobs();
    return verdict();
}
