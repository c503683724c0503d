/* Gives up what it started with and goes on. usage: confined drop | chroot DIR | limit RESOURCE BYTES
 *
 * It holds 100 objects of 1009 bytes; then it becomes nobody, has DIR as its root, or sets a limit. Objects come and go from
 * 8192 stacks; it holds 50 of 2003 and makes a child that holds 50 of 3001. It says "ready" and whether it could do all that,
 * and ends with 5 at the next line. */
#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char *early[100], *late[50], *of_child[50];
static volatile int after;

__attribute__((noinline)) static int hold(char **objects, int count, size_t bytes)
{
    int got = 0;
    for (int i = 0; i < count; i++) {
        objects[i] = malloc(bytes);
        if (objects[i])
            *(volatile char *)objects[i] = 1;
        got += objects[i] != NULL;
    }
    return got;
}

static void zero(unsigned way, int bits);
static void one(unsigned way, int bits);

static inline __attribute__((always_inline)) void descend(unsigned way, int bits)
{
    if (bits == 0)
        free(malloc(16 + way % 500));
    else if (way >> (bits - 1) & 1)
        one(way, bits - 1);
    else
        zero(way, bits - 1);
    after++;
}

/* Not the same code, or the compiler would make them one function. */
__attribute__((noinline)) static void zero(unsigned way, int bits) { descend(way, bits); }
__attribute__((noinline)) static void one(unsigned way, int bits) { descend(way, bits); after += 2; }

static int drop(void)
{
    return setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0;
}

static int limit(const char *name, const char *bytes)
{
    struct rlimit both = { strtoul(bytes, NULL, 10), strtoul(bytes, NULL, 10) };
    int resource = strcmp(name, "data") == 0 ? RLIMIT_DATA : strcmp(name, "as") == 0 ? RLIMIT_AS : strcmp(name, "fsize") == 0 ? RLIMIT_FSIZE
                 : strcmp(name, "nofile") == 0 ? RLIMIT_NOFILE : strcmp(name, "memlock") == 0 ? RLIMIT_MEMLOCK : -1;
    return resource >= 0 && setrlimit(resource, &both) == 0;
}

static int act(int argc, char **argv)
{
    if (strcmp(argv[1], "drop") == 0)
        return drop();
    if (argc > 2 && strcmp(argv[1], "chroot") == 0)
        return chroot(argv[2]) == 0 && chdir("/") == 0;
    return argc > 3 && strcmp(argv[1], "limit") == 0 && limit(argv[2], argv[3]);
}

int main(int argc, char **argv)
{
    int status = 0, acted, got;
    if (argc < 2)
        return 2;
    hold(early, 100, 1009);
    acted = act(argc, argv);
    for (unsigned way = 0; way < 8192; way++)
        descend(way, 13);
    got = hold(late, 50, 2003);
    pid_t child = fork();
    if (child == 0)
        _exit(hold(of_child, 50, 3001));
    waitpid(child, &status, 0);
    char line[80];
    int bytes = snprintf(line, sizeof line, "ready %d %d %d\n", acted, got, WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    if (write(1, line, (size_t)bytes) != bytes)
        return 3;
    while (read(0, line, 1) == 1 && line[0] != '\n') {
    }
    return 5;
}
