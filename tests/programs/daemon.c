/* Becomes a daemon as daemons do: forks twice, leads a session, closes every descriptor, changes its directory; the files it
 * opens then get the numbers 0, 1 and 2. usage: daemon REPORT GO LEDGERS
 *
 * It writes "daemon PID" to REPORT and waits for the empty directory GO. While LEDGERS has that name, so that a child cannot be
 * recorded, it makes one; REPORT gets "child STATUS" and, when all is as it was, "over". */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *held[100];

static void hold(size_t bytes)
{
    for (int i = 0; i < 100; i++) {
        held[i] = malloc(bytes);
        *(volatile char *)held[i] = 1;
    }
}

static void daemonise(void)
{
    if (fork() != 0)
        exit(0);
    setsid();
    if (fork() != 0)
        _exit(0);
    closefrom(0);
    if (chdir("/") != 0)
        _exit(2);
}

int main(int argc, char **argv)
{
    int status = 0;
    if (argc != 4)
        return 2;
    hold(1009);
    daemonise();
    for (int i = 0; i < 3; i++)
        if (open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600) != i)
            _exit(3);
    hold(2003);
    dprintf(2, "daemon %d\n", getpid());
    for (int i = 0; i < 3000 && access(argv[2], F_OK) != 0; i++)
        usleep(10000);
    if (rename(argv[3], argv[2]) != 0)
        _exit(4);
    pid_t child = fork();
    if (child == 0) {
        hold(3001);
        _exit(23);
    }
    waitpid(child, &status, 0);
    dprintf(2, "child %d\n", WEXITSTATUS(status));
    /* Its own ledger is where it was. */
    rename(argv[2], argv[3]);
    dprintf(2, "over\n");
    for (int i = 0; i < 3000; i++)
        usleep(10000);
    return 0;
}
