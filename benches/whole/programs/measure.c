// Runs a program and writes to a file what it and its children took: seconds of user and system time, and the largest
// resident set in KiB. `measure FILE COMMAND [ARGUMENTS]`; ends with the program's status.
//
// A process of its own because ru_maxrss begins with what the process that started it had: this one, linked statically, is
// small, which an interpreter is not, and is not preloaded into. Run by run.py.
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

int main(int count, char **arguments) {
    if (count < 3) return 2;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(arguments[2], arguments + 2);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) != child) return 2;
    FILE *file = fopen(arguments[1], "w");
    if (file == NULL) return 2;
    fprintf(file, "%f %ld\n", seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss);
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
