/* Threads that are not like others: a thousand short ones, small stacks, detached, cancelled, destructors that
 * allocate, and children that share the parent's memory and thread-local storage. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "holds.h"

extern char **environ;
static pthread_key_t key;
static sem_t done;

SITE void *leaked_by_short(void) { return kept(malloc(plain(1103))); }
SITE void *made_by_destructor(void) { return kept(malloc(plain(1109))); }

/* Runs when the thread's own storage is being taken down, as often as it puts something back. */
static void destroy(void *object)
{
    free(object);
    static __thread int rounds;
    if (++rounds < 3)
        pthread_setspecific(key, made_by_destructor());
    else
        made_by_destructor();
}

static void *short_life(void *argument)
{
    leaked_by_short();
    free(kept(malloc(100)));
    if (argument)
        pthread_setspecific(key, kept(malloc(plain(1117))));
    return NULL;
}

static void short_threads(void)
{
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        int failed = pthread_create(&thread, NULL, short_life, i % 10 ? NULL : &thread);
        HOLDS(failed == 0);
        if (failed)
            return;
        pthread_join(thread, NULL);
    }
    left(1103, 1000);
    left(1109, 100);
    left(1117, 0);
}

SITE void *leaked_by_detached(void) { return kept(malloc(plain(1123))); }

static void *detached_life(void *argument)
{
    leaked_by_detached();
    sem_post(argument);
    free(kept(malloc(50)));
    return NULL;
}

static void detached_threads(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        HOLDS(pthread_create(&thread, &attributes, detached_life, &done) == 0);
        sem_wait(&done);
    }
    left(1123, 200);
}

/* A printf and a sort are what a program may well do on the smallest stack. */
SITE int compare(const void *one, const void *other) { return *(const int *)one - *(const int *)other; }

static void *small_life(void *argument)
{
    int numbers[64];
    char text[256];
    for (int i = 0; i < 64; i++)
        numbers[i] = (i * 37) % 64;
    qsort(numbers, 64, sizeof *numbers, compare);
    HOLDS(numbers[63] == 63);
    HOLDS(snprintf(text, sizeof text, "%d %s %g", numbers[1], "text", 1.5) > 0);
    char *object = kept(malloc(plain(1129)));
    char *copy = kept(strdup(text));
    free(copy);
    return argument ? object : NULL;
}

static void small_threads(void)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int refused = pthread_attr_setstacksize(&attributes, 16384);
    HOLDS(refused == 0);
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        void *object = NULL;
        int failed = pthread_create(&thread, &attributes, small_life, &object);
        HOLDS(failed == 0);
        if (failed)
            return;
        pthread_join(thread, &object);
        if (i % 2)
            free(object);
    }
    left(1129, 50);
}

SITE void *made_in_storm(int i) { return kept(malloc(plain(64 + (size_t)i % 900))); }

static void release(void *held)
{
    void **objects = held;
    for (int i = 0; i < 32; i++)
        free(objects[i]);
    free(objects);
}

/* malloc is no cancellation point: a deferred cancellation comes at testcancel only, and nothing is lost. */
static void *deferred_storm(void *argument)
{
    void **held = calloc(32, sizeof *held);
    (void)argument;
    pthread_cleanup_push(release, held);
    for (int i = 0;; i++) {
        free(held[i % 32]);
        held[i % 32] = made_in_storm(i);
        if (i % 64 == 0)
            pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

/* Cancelled at any instruction, which is allowed where nothing but computation happens. */
static void *asynchronous(void *argument)
{
    void **held = calloc(32, sizeof *held);
    int before;
    for (int i = 0; i < 32; i++)
        held[i] = made_in_storm(i);
    pthread_cleanup_push(release, held);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
    sem_post(argument);
    for (;;)
        opaque++;
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancelled_threads(void)
{
    for (int i = 0; i < 60; i++) {
        pthread_t storm, spin;
        void *result = NULL;
        HOLDS(pthread_create(&storm, NULL, deferred_storm, NULL) == 0);
        HOLDS(pthread_create(&spin, NULL, asynchronous, &done) == 0);
        sem_wait(&done);
        usleep(200);
        HOLDS(pthread_cancel(storm) == 0 && pthread_join(storm, &result) == 0 && result == PTHREAD_CANCELED);
        HOLDS(pthread_cancel(spin) == 0 && pthread_join(spin, &result) == 0 && result == PTHREAD_CANCELED);
    }
}

/* What vfork and posix_spawn do: a child in the same memory, on a stack of its own, with the parent's thread-local
 * storage, while the parent waits. What it allocates is the parent's. */
static int sharing(void *argument)
{
    for (int i = 0; i < 10; i++)
        ((void **)argument)[i] = kept(malloc(plain(1151)));
    free(((void **)argument)[0]);
    return 21;
}

static void sharing_children(void)
{
    size_t bytes = 64 << 10;
    for (int i = 0; i < 20; i++) {
        void *objects[10];
        int status = 0;
        char *stack = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        pid_t child = clone(sharing, stack + bytes, CLONE_VM | CLONE_VFORK | SIGCHLD, objects);
        HOLDS(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 21);
        munmap(stack, bytes);
        for (int k = 1; k < 5; k++)
            free(objects[k]);
    }
    left(1151, 100);
    char *arguments[] = { "/bin/true", NULL };
    for (int i = 0; i < 10; i++) {
        pid_t child = 0;
        int status = 1;
        HOLDS(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
        HOLDS(waitpid(child, &status, 0) == child && status == 0);
    }
}

int main(void)
{
    sem_init(&done, 0, 0);
    pthread_key_create(&key, destroy);
    unsetenv("LD_PRELOAD");
    short_threads();
    detached_threads();
    small_threads();
    cancelled_threads();
    sharing_children();
    return verdict();
}
