/* Everything at once, for `soak.rs`: eight threads allocate and free each other's objects, one loads and unloads a
 * library, one forks, one takes signals. Obeys lines: "quiet" ends and frees all that, "known" allocates known numbers,
 * "quit". usage: soak LIBRARY */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "holds.h"

__attribute__((weak)) void heapql_scope_push(uint64_t tenant_id, uint64_t ctx_id, const char *label);
__attribute__((weak)) void heapql_scope_pop(void);

enum { ALLOCATORS = 8, SHARED = 4096 };

static volatile int over;
static void *_Atomic shared[SHARED];
static const char *library;
static volatile long counts[4];

static void label(const char *text)
{
    if (heapql_scope_push)
        heapql_scope_push(1500, 0, text);
}

SITE void *some(unsigned kind, size_t bytes)
{
    void *object = NULL;
    switch (kind % 5) {
    case 0: return kept(malloc(plain(bytes)));
    case 1: return kept(calloc(plain(bytes), 1));
    case 2: return kept(realloc(kept(malloc(plain(bytes / 2 + 1))), plain(bytes)));
    case 3: return kept(realloc(kept(malloc(plain(bytes * 2))), plain(bytes)));
    default: return posix_memalign(&object, 64, plain(bytes)) == 0 ? object : NULL;
    }
}

/* What one thread puts into a slot another takes out. */
static void *allocate(void *argument)
{
    unsigned random = (unsigned)(size_t)argument * 2654435761u + 1;
    label("soak");
    while (!over) {
        random = random * 1664525 + 1013904223;
        size_t bytes = (random >> 20) % 97 == 0 ? 60000 + random % 200000 : 16 + (random >> 8) % 2000;
        unsigned char *object = some(random >> 4, bytes);
        HOLDS(object && malloc_usable_size(object) >= bytes);
        object[0] = object[bytes - 1] = (unsigned char)bytes;
        free(__atomic_exchange_n((void **)&shared[(random >> 12) % SHARED], object, __ATOMIC_ACQ_REL));
        __atomic_fetch_add(&counts[0], 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *load(void *argument)
{
    (void)argument;
    for (; !over; usleep(5000), counts[1]++) {
        void *handle = dlopen(library, RTLD_NOW);
        void *(*make)(unsigned long) = handle ? (void *(*)(unsigned long))dlsym(handle, "library_makes") : NULL;
        HOLDS(make != NULL);
        if (!make)
            return NULL;
        label("soak");
        void *object = make(1613);
        if (heapql_scope_pop)
            heapql_scope_pop();
        HOLDS(dlclose(handle) == 0);
        free(object);
    }
    return NULL;
}

static void *divide(void *argument)
{
    (void)argument;
    for (; !over; usleep(20000), counts[2]++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            for (int i = 0; i < 200; i++)
                free(some((unsigned)i, 16 + (size_t)i * 7));
            /* Inherited, from the parent's ledger. */
            for (int i = 0; i < 100; i++)
                free(shared[i]);
            _exit(7);
        }
        HOLDS(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    return NULL;
}

static void tick(int number)
{
    int saved = errno;
    (void)number;
    free(some((unsigned)counts[3]++, 333));
    errno = saved;
}

/* The only thread that the signal can interrupt, which allocates nothing itself. */
static void *take_signals(void *argument)
{
    struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
    sigset_t alarm;
    (void)argument;
    label("soak");
    signal(SIGALRM, tick);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    setitimer(ITIMER_REAL, &every, NULL);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    while (!over)
        usleep(1000);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    return NULL;
}

static pthread_t threads[ALLOCATORS + 3];

static void begin(void)
{
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    void *(*const others[])(void *) = { load, divide, take_signals };
    for (size_t i = 0; i < ALLOCATORS + 3; i++)
        HOLDS(pthread_create(&threads[i], NULL, i < ALLOCATORS ? allocate : others[i - ALLOCATORS], (void *)i) == 0);
}

static void quiet(void)
{
    over = 1;
    for (size_t i = 0; i < ALLOCATORS + 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SHARED; i++)
        free(shared[i]);
    say("quiet %ld allocations, %ld libraries, %ld forks, %ld signals\n", counts[0], counts[1], counts[2], counts[3]);
}

SITE void *first_site(void) { return kept(malloc(plain(1601))); }
SITE void *second_site(void) { return kept(calloc(1, plain(1607))); }
SITE void *third_site(void) { return kept(realloc(kept(malloc(9)), plain(1609))); }

static void known(int times)
{
    label("known");
    for (int i = 0; i < times; i++) {
        HOLDS(first_site() != NULL);
        if (i % 2)
            HOLDS(second_site() != NULL);
        if (i % 4)
            HOLDS(third_site() != NULL);
        else
            free(third_site());
    }
    if (heapql_scope_pop)
        heapql_scope_pop();
}

int main(int argc, char **argv)
{
    char line[16];
    if (argc < 2)
        return 2;
    library = argv[1];
    known(1000);
    begin();
    say("ready %d\n", (int)getpid());
    for (;;) {
        size_t used = 0;
        while (used < sizeof line - 1 && read(0, line + used, 1) == 1 && line[used] != '\n')
            used++;
        line[used] = 0;
        if (strcmp(line, "quiet") == 0)
            quiet();
        else if (strcmp(line, "known") == 0) {
            known(1000);
            say("ok\n");
        } else
            return verdict();
    }
}
