/* THREADS threads hold COUNT objects of BYTES each. On the first line the main thread frees half of every thread's
 * objects, on the second the threads end and leave theirs behind. usage: threads THREADS COUNT BYTES */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_THREADS = 64 };
static long count, bytes;
static char **held[MOST_THREADS];
static pthread_barrier_t filled, leave;

__attribute__((noinline)) static char *site(void)
{
    char *object = malloc((size_t)bytes);
    *(volatile char *)object = 1;
    return object;
}

static void *work(void *argument)
{
    char **mine = held[(long)argument];
    for (long i = 0; i < count; i++) {
        mine[i] = site();
        free(malloc(24)); /* something short-lived in between */
    }
    pthread_barrier_wait(&filled);
    pthread_barrier_wait(&leave);
    return NULL;
}

static void wait_line(const char *say)
{
    char byte = 0;
    puts(say);
    fflush(stdout);
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    long threads = atol(argv[1]);
    pthread_t ids[MOST_THREADS];
    count = atol(argv[2]);
    bytes = atol(argv[3]);
    pthread_barrier_init(&filled, NULL, (unsigned)threads + 1);
    pthread_barrier_init(&leave, NULL, (unsigned)threads + 1);
    for (long i = 0; i < threads; i++) {
        held[i] = calloc((size_t)count, sizeof *held[i]);
        if (pthread_create(&ids[i], NULL, work, (void *)i) != 0)
            return 3;
    }
    pthread_barrier_wait(&filled);
    wait_line("ready");
    for (long i = 0; i < threads; i++)
        for (long k = 0; k < count / 2; k++)
            free(held[i][k]);
    wait_line("ok");
    pthread_barrier_wait(&leave);
    for (long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    wait_line("ok");
    return 0;
}
