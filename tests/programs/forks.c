/* Forks again and again while other threads allocate; each child allocates, frees what it inherited, and ends.
 * Ends with 0 when every child did. usage: forks CHILDREN */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int over;
static char *volatile shared[64];

static void *work(void *argument)
{
    char *held[32] = { 0 };
    for (unsigned i = (unsigned)(long)argument; !over; i++) {
        free(held[i % 32]);
        held[i % 32] = malloc(16 + i % 3000);
    }
    for (int i = 0; i < 32; i++)
        free(held[i]);
    return NULL;
}

static void child(void)
{
    for (int i = 0; i < 64; i++)
        free(shared[i]);
    char *held[200];
    for (int i = 0; i < 200; i++)
        held[i] = malloc(16 + (size_t)i);
    for (int i = 0; i < 200; i += 2)
        free(held[i]);
    exit(33);
}

int main(int argc, char **argv)
{
    pthread_t threads[3];
    int children = argc > 1 ? atoi(argv[1]) : 10;
    for (int i = 0; i < 64; i++)
        shared[i] = malloc(100);
    for (long i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i * 7)) != 0)
            return 2;
    for (int i = 0; i < children; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            child();
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 33) {
            printf("child %d ended with %x\n", i, status);
            return 3;
        }
    }
    over = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    puts("done");
    return 0;
}
