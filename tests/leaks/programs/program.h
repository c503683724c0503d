/* What the labelled programs share: a clock, a pace of 50 steps per second, and requests that come and go.
 *
 * Each program defines step(), which works for a millisecond at most, and says in its first line what it is:
 * "leak: function NAME" (a frame of every leaking stack) or "steady: why". It runs until it is killed, or its parent
 * is. Included by the programs beside it. */
#ifndef PROGRAM_H
#define PROGRAM_H
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define STEPS_PER_SECOND 50
#define NOINLINE __attribute__((noinline, noclone))
#define MAY_BE_UNUSED __attribute__((unused))

static void step(double now);

static uint64_t random_state;

static double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

/* wyrand */
static uint64_t random_word(void) {
    random_state += 0xa0761d6478bd642fu;
    unsigned __int128 product = (unsigned __int128)random_state * (random_state ^ 0xe7037ed1a0b428dbu);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

MAY_BE_UNUSED static unsigned below(unsigned bound) { return random_word() % bound; }

MAY_BE_UNUSED static double exponential(double mean) { return -mean * log((random_word() % 1000000 + 1) / 1000001.0); }

/* How many of a rate fall into this step. */
MAY_BE_UNUSED static unsigned at_rate(double per_second) {
    double expected = per_second / STEPS_PER_SECOND;
    unsigned whole = (unsigned)expected;
    return whole + ((random_word() % 1000000) / 1e6 < expected - whole);
}

/* The compiler must not drop what is allocated and freed at once. */
static void *use(void *memory) {
    __asm__ volatile("" : "+r"(memory) : : "memory");
    return memory;
}

NOINLINE static void handle_request(void) {
    void *lines[4];
    for (int line = 0; line < 4; line++) lines[line] = use(malloc(20 + below(200)));
    for (int line = 0; line < 4; line++) free(lines[line]);
}

/* Four short-lived allocations each. */
MAY_BE_UNUSED static void requests(unsigned count) {
    while (count--) handle_request();
}

static void run(void) {
    struct timespec pause = {0, 1000000000 / STEPS_PER_SECOND};
    random_state = (uint64_t)getpid() * 0x9e3779b97f4a7c15u;
    double start = clock_seconds();
    for (;;) {
        step(clock_seconds() - start);
        nanosleep(&pause, NULL);
    }
}

#ifndef OWN_MAIN
int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run();
}
#endif
#endif
