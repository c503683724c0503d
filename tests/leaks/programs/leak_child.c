// leak: function keep_reply
// A daemon: the parent waits, its forked child leaks 50 replies per second.
#define OWN_MAIN
#include "program.h"
#include <sys/wait.h>

NOINLINE static void keep_reply(void) { use(malloc(180)); }

static void step(double now) {
    (void)now;
    for (unsigned n = at_rate(50); n > 0; n--) keep_reply();
    requests(10);
}

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    free(use(malloc(1000)));
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
    }
    waitpid(child, NULL, 0);
    return 1;
}
