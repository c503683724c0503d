/* Says "ready PID" and waits for a line. With an argument the PID is that of a worker that it forked, which gave itself the
 * argument as its title, as servers do: over its own argument area. Without one it is the program's own. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile held;

static void become(char **arguments, int count, const char *title)
{
    char *end = arguments[count - 1] + strlen(arguments[count - 1]) + 1;
    char kept[64];
    snprintf(kept, sizeof kept, "%s", title);
    memset(arguments[0], 0, (size_t)(end - arguments[0]));
    snprintf(arguments[0], (size_t)(end - arguments[0]), "%s", kept);
}

int main(int count, char **arguments)
{
    char line[16];
    pid_t pid = getpid();
    held = malloc(1009);
    if (count > 1 && (pid = fork()) == 0) {
        held = malloc(2003);
        become(arguments, count, arguments[1]);
        for (;;)
            pause();
    }
    printf("ready %d\n", (int)pid);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        line[0] = 0;
    if (pid != getpid()) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return 5;
}
