/* Says each signal it gets, and ends with status 7 at SIGTERM. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct { int number; const char *name; } known[] = {
    { SIGHUP, "HUP" }, { SIGINT, "INT" }, { SIGUSR1, "USR1" }, { SIGUSR2, "USR2" }, { SIGQUIT, "QUIT" },
    { SIGTERM, "TERM" }, { SIGALRM, "ALRM" },
};

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        sigaddset(&set, known[i].number);
    sigprocmask(SIG_BLOCK, &set, NULL);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int got = 0;
        if (sigwait(&set, &got) != 0)
            return 1;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (known[i].number == got)
                printf("got %s\n", known[i].name);
        fflush(stdout);
        if (got == SIGTERM)
            return 7;
    }
}
