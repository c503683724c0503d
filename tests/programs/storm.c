/* Allocates while timer signals interrupt it at any instruction, on several threads, with an alternate signal stack. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks;
static char signal_stack[65536];

static void tick(int number)
{
    int saved = errno;
    (void)number;
    ticks++;
    errno = saved;
}

static void *work(void *argument)
{
    void *held[64] = { 0 };
    for (long i = 0; i < 400000; i++) {
        size_t at = (size_t)(i * 31 + (long)argument) % 64;
        free(held[at]);
        held[at] = malloc(16 + (size_t)i % 500);
        if (!held[at])
            exit(4);
        memset(held[at], 0x5a, 16);
    }
    for (int i = 0; i < 64; i++)
        free(held[i]);
    return NULL;
}

int main(void)
{
    stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof signal_stack };
    struct sigaction action = { .sa_handler = tick, .sa_flags = SA_ONSTACK | SA_RESTART };
    struct itimerval every = { { 0, 500 }, { 0, 500 } };
    pthread_t threads[3];
    sigaltstack(&stack, NULL);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    for (long i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
            return 3;
    work((void *)7L);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    puts("done");
    return 0;
}
