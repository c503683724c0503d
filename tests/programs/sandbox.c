/* Confines itself with a seccomp filter and then allocates. usage: sandbox before|after errno|kill narrow|malloc COUNT
 *
 * The filter comes before its first allocation, or after some. It lets pass only read, write, exit, mmap, munmap, brk, futex and
 * getrandom ("narrow"), or also what glibc's malloc calls at times ("malloc"). Everything else is EPERM, or ends the program.
 * Then COUNT objects come and go, from 64 stacks of several depths, some large, some resized. It says how many it held. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *held[512];

#define ALLOW(number)                                     \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int confine(int kill, int narrow)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_exit),
        ALLOW(SYS_exit_group),
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_brk),
        ALLOW(SYS_futex),
        /* glibc's malloc begins with it. */
        ALLOW(SYS_getrandom),
        /* Not reached by what is narrow. */
        BPF_STMT(BPF_JMP | BPF_JA, narrow ? 6 : 0),
        ALLOW(SYS_madvise),
        ALLOW(SYS_mprotect),
        ALLOW(SYS_mremap),
        BPF_STMT(BPF_RET | BPF_K, kill ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 0;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* The bits of `way` choose the stack. */
__attribute__((noinline)) static char *by_one(size_t bytes, unsigned way, int left);

__attribute__((noinline)) static char *by_other(size_t bytes, unsigned way, int left)
{
    char *object = left == 0 ? malloc(bytes) : way & 1 ? by_one(bytes, way >> 1, left - 1) : by_other(bytes, way >> 1, left - 1);
    if (object)
        *(volatile char *)object = 1;
    return object;
}

__attribute__((noinline)) static char *by_one(size_t bytes, unsigned way, int left)
{
    char *object = left == 0 ? calloc(1, bytes) : way & 1 ? by_other(bytes, way >> 1, left - 1) : by_one(bytes, way >> 1, left - 1);
    if (object)
        *(volatile char *)object = 1;
    return object;
}

static int churn(int count)
{
    int made = 0;
    for (int i = 0; i < count; i++) {
        char **place = &held[i % 512];
        free(*place);
        *place = by_one(16 + (size_t)i % 700, (unsigned)i, 6);
        made += *place != NULL;
        if (i % 50 == 0) {
            char *larger = realloc(*place, 5000);
            if (larger)
                *place = larger;
        }
        if (i % 500 == 0) {
            char *large = malloc(300000);
            made += large != NULL;
            free(large);
        }
    }
    return made;
}

static void say(int number)
{
    char digits[16];
    int at = sizeof digits;
    digits[--at] = '\n';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    if (write(1, digits + at, sizeof digits - (size_t)at) < 0)
        _exit(3);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    if (strcmp(argv[1], "after") == 0)
        say(churn(200));
    if (!confine(strcmp(argv[2], "kill") == 0, strcmp(argv[3], "narrow") == 0))
        return 4;
    say(churn(atoi(argv[4])));
    _exit(7);
}
