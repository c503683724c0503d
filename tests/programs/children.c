/* Makes children in every way. The parent holds 100 objects of 1009 bytes; two forked children free their copies and hold 50
 * of 2003 each; an exec'ed one holds 30 of 3001. It says "ready" when all have allocated, and ends them at the next line. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARENTS = 100, FORKED = 50, EXECED = 30 };
static char *held[PARENTS];
static char *own[FORKED];

__attribute__((noinline)) static char *site(size_t bytes)
{
    char *object = malloc(bytes);
    *(volatile char *)object = 1;
    return object;
}

/* Tells the parent through `out`, then waits until `in` is closed. */
static void hold(int out, int in)
{
    char byte = 'x';
    if (write(out, &byte, 1) != 1)
        _exit(9);
    close(out);
    while (read(in, &byte, 1) > 0) {
    }
}

static void forked(int out, int in)
{
    for (int i = 0; i < PARENTS; i++)
        free(held[i]);
    for (int i = 0; i < FORKED; i++)
        own[i] = site(2003);
    hold(out, in);
    exit(21);
}

static int execed(void)
{
    for (int i = 0; i < EXECED; i++)
        own[i] = site(3001);
    hold(3, 4);
    return 22;
}

/* A child that runs /bin/true between vfork and its end. */
static int vforked(void)
{
    int status = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(99);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

static int ended(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void wait_line(void)
{
    char byte = 0;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
}

int main(int argc, char **argv)
{
    int said[2], keep[2];
    char byte;
    if (argc > 1 && strcmp(argv[1], "execed") == 0)
        return execed();
    if (pipe(said) != 0 || pipe(keep) != 0)
        return 8;
    for (int i = 0; i < PARENTS; i++)
        held[i] = site(1009);

    pid_t twins[2];
    for (int i = 0; i < 2; i++) {
        twins[i] = fork();
        if (twins[i] == 0) {
            close(keep[1]);
            forked(said[1], keep[0]);
        }
    }
    pid_t other = fork();
    if (other == 0) {
        close(keep[1]);
        /* Above 4 first, so that neither dup2 closes the other's source. */
        int out = fcntl(said[1], F_DUPFD, 10), in = fcntl(keep[0], F_DUPFD, 10);
        dup2(out, 3);
        dup2(in, 4);
        execl("/proc/self/exe", "children", "execed", (char *)NULL);
        _exit(97);
    }
    close(said[1]);
    for (int got = 0; got < 3;)
        got += read(said[0], &byte, 1) == 1 ? 1 : 3;
    printf("ready %d\n", vforked());
    fflush(stdout);
    wait_line();
    close(keep[1]);
    printf("ended %d %d", ended(twins[0]), ended(twins[1]));
    printf(" %d\n", ended(other));
    fflush(stdout);
    wait_line();
    return 5;
}
