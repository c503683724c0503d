/* Makes one child in the way that is asked for. usage: lineage WAY
 *
 * The parent holds 100 objects of 1009 bytes. A forked child frees its copies, then holds 50 of 2003; an exec'ed one holds 30
 * of 3001. The parent says "ready CHILD", and at the next line "ended STATUS"; it ends with 5 at the line after. What the
 * parent allocates besides comes before its children, so that its counts are known. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARENTS = 100, FORKED = 50, EXECED = 30, SHORT = 100 };
static char *held[PARENTS];
static char *own[FORKED];
static int said[2], keep[2];
static volatile int over;
extern char **environ;

__attribute__((noinline)) static char *site(size_t bytes)
{
    char *object = malloc(bytes);
    *(volatile char *)object = 1;
    return object;
}

/* Tells the parent who this is, then waits until it closes its end. */
static void hold(int out, int in)
{
    /* Not glibc's getpid, which some releases remember across a bare clone. */
    pid_t pid = (pid_t)syscall(SYS_getpid);
    if (write(out, &pid, sizeof pid) != sizeof pid)
        _exit(9);
    close(out);
    while (read(in, &pid, 1) > 0) {
    }
}

static void forked(void)
{
    close(keep[1]);
    /* First, while nothing has been due in this process: these are the parent's. */
    for (int i = 0; i < PARENTS; i++)
        free(held[i]);
    for (int i = 0; i < FORKED; i++)
        own[i] = site(2003);
    hold(said[1], keep[0]);
    _exit(21);
}

static int execed(void)
{
    for (int i = 0; i < EXECED; i++)
        own[i] = site(3001);
    hold(21, 22);
    return 22;
}

/* Between vfork and exec: the memory is the parent's. */
static int becomes_execed(void *unused)
{
    (void)unused;
    free(site(4001));
    execl("/proc/self/exe", "lineage", "execed", (char *)NULL);
    _exit(97);
}

static pid_t by_vfork(void)
{
    pid_t pid = vfork();
    if (pid == 0)
        becomes_execed(NULL);
    return pid;
}

static pid_t by_clone(void)
{
    static char stack[1 << 16] __attribute__((aligned(16)));
    return clone(becomes_execed, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
}

static pid_t by_posix_spawn(void)
{
    pid_t pid;
    char *arguments[] = { "lineage", "execed", NULL };
    return posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0 ? pid : -1;
}

static pid_t by_fork(const char *way)
{
    pid_t pid = -1;
    if (strcmp(way, "fork") == 0 || strcmp(way, "threads") == 0)
        pid = fork();
    else if (strcmp(way, "SYS_fork") == 0)
        pid = (pid_t)syscall(SYS_fork);
    else if (strcmp(way, "SYS_clone") == 0)
        pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    else if (strcmp(way, "fork and exec") == 0 && (pid = fork()) == 0)
        becomes_execed(NULL);
    if (pid == 0)
        forked();
    return pid;
}

static pid_t make(const char *way)
{
    if (strcmp(way, "vfork") == 0)
        return by_vfork();
    if (strcmp(way, "posix_spawn") == 0)
        return by_posix_spawn();
    if (strcmp(way, "clone") == 0)
        return by_clone();
    return by_fork(way);
}

static void *work(void *unused)
{
    while (!over)
        free(site(500));
    return unused;
}

/* One hundred children that come and go. */
static int many(void)
{
    for (int i = 0; i < SHORT; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            for (int at = 0; at < PARENTS; at += 2)
                free(held[at]);
            for (int at = 0; at < FORKED; at++)
                own[at] = site(2003);
            _exit(i % 7);
        }
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != i % 7)
            return 0;
    }
    return 1;
}

static void say(const char *text, int number)
{
    char line[64];
    size_t at = strlen(text), digits = 1;
    memcpy(line, text, at);
    for (int rest = number; rest > 9; rest /= 10)
        digits++;
    for (size_t i = digits; i > 0; i--, number /= 10)
        line[at + i - 1] = (char)('0' + number % 10);
    line[at + digits] = '\n';
    if (write(1, line, at + digits + 1) < 0)
        _exit(3);
}

static void wait_line(void)
{
    char byte = 0;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
}

/* Under the numbers that an exec'ed child expects; the parent's ends are not for it. */
static int make_pipes(void)
{
    int ends[4];
    if (pipe(ends) != 0 || pipe(ends + 2) != 0)
        return 0;
    for (int i = 0; i < 4; i++)
        if (dup3(ends[i], 20 + i, i % 3 == 0 ? O_CLOEXEC : 0) < 0 || close(ends[i]) != 0)
            return 0;
    said[0] = 20, said[1] = 21, keep[0] = 22, keep[1] = 23;
    return 1;
}

int main(int argc, char **argv)
{
    pthread_t threads[3];
    const char *way = argc > 1 ? argv[1] : "fork";
    int status = 0, with_threads = strcmp(way, "threads") == 0;
    pid_t child = 0, who = 0;
    if (strcmp(way, "execed") == 0)
        return execed();
    if (!make_pipes())
        return 8;
    for (int i = 0; i < PARENTS; i++)
        held[i] = site(1009);
    for (int i = 0; with_threads && i < 3; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 7;
    if (strcmp(way, "many") == 0) {
        say("ready ", many() ? 0 : 1);
    } else {
        child = make(way);
        close(said[1]);
        if (read(said[0], &who, sizeof who) != sizeof who || who != child)
            return 6;
        say("ready ", who);
    }
    over = 1;
    for (int i = 0; with_threads && i < 3; i++)
        pthread_join(threads[i], NULL);
    wait_line();
    close(keep[1]);
    if (child > 0)
        say("ended ", waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    wait_line();
    return 5;
}
