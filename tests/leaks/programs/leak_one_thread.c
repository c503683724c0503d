// leak: function allocate_job
// Eight threads do the same work; the fourth forgets what it has done.
#define OWN_MAIN
#include "program.h"
#include <pthread.h>

static __thread unsigned number;

static void step(double now) {
    (void)now;
    requests(1);
}

NOINLINE static void *allocate_job(void) { return use(malloc(300)); }

static void *work(void *argument) {
    number = (unsigned)(uintptr_t)argument;
    for (;;) {
        void *jobs[3];
        for (int job = 0; job < 3; job++) jobs[job] = allocate_job();
        usleep(30000);
        for (int job = 0; job < 3; job++)
            if (number != 4) free(jobs[job]);
    }
    return NULL;
}

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uintptr_t thread = 1; thread <= 8; thread++) {
        pthread_t id;
        pthread_create(&id, NULL, work, (void *)thread);
    }
    run();
}
