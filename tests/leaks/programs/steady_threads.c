// steady: threads that come, allocate, and go after 2 seconds, 20 at a time
#define OWN_MAIN
#include "program.h"
#include <pthread.h>

static void *work(void *argument) {
    void *objects[60];
    for (int index = 0; index < 60; index++) objects[index] = use(malloc(400));
    usleep(2000000);
    for (int index = 0; index < 60; index++) free(objects[index]);
    return argument;
}

static double next;

static void step(double now) {
    if (now >= next) {
        pthread_t thread;
        pthread_create(&thread, NULL, work, NULL);
        pthread_detach(thread);
        next += 0.1;
    }
    requests(10);
}

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run();
}
