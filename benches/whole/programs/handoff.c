// One thread allocates, another frees: batches of objects go through a queue of two. `handoff [batches] [pairs]`.
//
// It waits on semaphores, never in a loop, so that its instructions do not depend on the scheduler. Run by run.py.
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>

enum { BATCH = 1024, QUEUE = 2 };

struct pair {
    void *objects[QUEUE][BATCH];
    sem_t empty, full;
    uint64_t seed;
};

static long batches = 1000;

static void *produce(void *argument) {
    struct pair *pair = argument;
    uint64_t state = pair->seed;
    for (long batch = 0; batch < batches; batch++) {
        sem_wait(&pair->empty);
        for (int i = 0; i < BATCH; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            pair->objects[batch % QUEUE][i] = malloc(16 + (state >> 32) % 1009);
        }
        sem_post(&pair->full);
    }
    return NULL;
}

static void *consume(void *argument) {
    struct pair *pair = argument;
    for (long batch = 0; batch < batches; batch++) {
        sem_wait(&pair->full);
        for (int i = 0; i < BATCH; i++) free(pair->objects[batch % QUEUE][i]);
        sem_post(&pair->empty);
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count > 1) batches = atol(arguments[1]);
    int pairs = count > 2 ? atoi(arguments[2]) : 1;
    static struct pair all[8];
    pthread_t threads[8][2];
    for (int i = 0; i < pairs; i++) {
        sem_init(&all[i].empty, 0, QUEUE);
        sem_init(&all[i].full, 0, 0);
        all[i].seed = 0x9e3779b97f4a7c15u * (i + 1);
        pthread_create(&threads[i][0], NULL, produce, &all[i]);
        pthread_create(&threads[i][1], NULL, consume, &all[i]);
    }
    for (int i = 0; i < pairs; i++)
        for (int side = 0; side < 2; side++) pthread_join(threads[i][side], NULL);
    return 0;
}
