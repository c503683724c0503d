/* Signal handlers at 1 kHz that allocate, on ordinary and alternate stacks, and fork handlers that do. Only where glibc
 * allows it: a handler that allocates never interrupts the malloc of its own thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "holds.h"

enum { STACK = 64 << 10, PAGE = 4096, TICKS = 150 };

static volatile sig_atomic_t ticks, over;

SITE void *by_handler(void) { return kept(malloc(plain(1301))); }
SITE void *by_handler_elsewhere(void) { return kept(calloc(1, plain(1303))); }

/* Half of what each tick allocates stays. */
static void allocate(int number)
{
    int saved = errno;
    errno = EXDEV;
    (void)number;
    void *mine = by_handler();
    free(kept(realloc(kept(malloc(100)), plain(5000))));
    HOLDS(mine && errno == EXDEV);
    if (ticks++ % 2)
        free(mine);
    errno = saved;
}

static void allocate_elsewhere(int number)
{
    void *mine = by_handler_elsewhere();
    (void)number;
    HOLDS(mine && all(mine, 1303, 0));
    if (ticks++ % 2)
        free(mine);
}

static void only_count(int number)
{
    (void)number;
    ticks++;
}

static void every(int microseconds)
{
    struct itimerval interval = { { 0, microseconds }, { 0, microseconds } };
    setitimer(ITIMER_REAL, &interval, NULL);
}

static void handle(void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    sigaction(SIGALRM, &action, NULL);
    ticks = 0;
}

/* Threads in malloc that the signal does not interrupt. */
static void *storm(void *argument)
{
    void *held[64] = { 0 };
    for (unsigned i = (unsigned)(size_t)argument; !over; i++) {
        free(held[i % 64]);
        held[i % 64] = kept(malloc(plain(16 + i % 700)));
    }
    for (int i = 0; i < 64; i++)
        free(held[i]);
    return NULL;
}

/* What the handler interrupts: anything but malloc. */
SITE void compute(int until)
{
    char text[64];
    while (ticks < until)
        opaque += (size_t)snprintf(text, sizeof text, "%d", (int)ticks);
}

static void handlers_that_allocate(void)
{
    handle(allocate, SA_RESTART);
    every(1000);
    compute(TICKS);
    every(0);
    long happened = ticks;
    left(1301, (happened + 1) / 2);
}

/* The alternate stack has pages above and below that cannot be touched; a handler on it is followed to what it
 * interrupted. */
static void handlers_on_a_stack_of_their_own(void)
{
    char *low = mmap(NULL, STACK + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(low + PAGE, STACK, PROT_READ | PROT_WRITE);
    stack_t stack = { .ss_sp = low + PAGE, .ss_size = STACK };
    HOLDS(sigaltstack(&stack, NULL) == 0);
    handle(allocate_elsewhere, SA_ONSTACK | SA_RESTART);
    every(1000);
    compute(TICKS);
    every(0);
    long happened = ticks;
    stack_t none = { .ss_flags = SS_DISABLE };
    HOLDS(sigaltstack(&none, NULL) == 0);
    munmap(low, STACK + 2 * PAGE);
    left(1303, (happened + 1) / 2);
}

/* Here it interrupts malloc, at any instruction, and does not allocate. Its stack is an object itself. */
static void handlers_that_do_not(void)
{
    stack_t stack = { .ss_sp = kept(malloc(STACK)), .ss_size = STACK }, none = { .ss_flags = SS_DISABLE };
    HOLDS(sigaltstack(&stack, NULL) == 0);
    handle(only_count, SA_ONSTACK | SA_RESTART);
    every(700);
    void *held[64] = { 0 };
    for (unsigned i = 0; ticks < TICKS; i++) {
        free(held[i % 64]);
        held[i % 64] = kept(malloc(plain(1307)));
    }
    every(0);
    for (int i = 0; i < 60; i++)
        free(held[i]);
    HOLDS(sigaltstack(&none, NULL) == 0);
    free(stack.ss_sp);
    left(1307, 4);
}

static void *from_prepare, *from_parent, *from_child;
SITE void prepare(void) { free(from_prepare); from_prepare = kept(malloc(plain(1319))); }
SITE void parent(void) { free(from_parent); from_parent = kept(malloc(plain(1321))); }
SITE void child(void) { free(from_child); free(from_prepare); from_child = kept(malloc(plain(1327))); }

static void fork_handlers_that_allocate(void)
{
    pthread_atfork(prepare, parent, child);
    for (int i = 0; i < 30; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(from_child && kept(malloc(40)) ? 3 : 4);
        HOLDS(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3);
    }
    left(1319, 1);
    left(1321, 1);
    left(1327, 0);
}

int main(void)
{
    pthread_t threads[2];
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    for (size_t i = 0; i < 2; i++)
        HOLDS(pthread_create(&threads[i], NULL, storm, (void *)i) == 0);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    handlers_that_allocate();
    handlers_on_a_stack_of_their_own();
    handlers_that_do_not();
    fork_handlers_that_allocate();
    over = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return verdict();
}
