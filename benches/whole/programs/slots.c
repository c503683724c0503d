// malloc and free of 16 to 4096 bytes over 4096 slots: nothing but the allocator.
//
// `slots [rounds] [depth] [threads] [malloc|calloc|realloc]`: that many frames lie between main and the allocation;
// `realloc` grows what is in the slot by half, up to 64 KiB, instead of replacing it. Not a model of any program: the
// worst case. Run by run.py.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 4096, LARGEST = 65536 };

static uint64_t rounds = 2000000;
static int depth = 0;
static char how = 'm';

struct slot {
    char *object;
    size_t bytes;
};

static void replace(struct slot *slot, size_t bytes) {
    free(slot->object);
    slot->object = how == 'c' ? calloc(1, bytes) : malloc(bytes);
    slot->object[0] = 1;
}

static void grow(struct slot *slot) {
    if (slot->bytes > LARGEST) {
        free(slot->object);
        *slot = (struct slot){NULL, 0};
    }
    slot->bytes = slot->bytes ? slot->bytes + slot->bytes / 2 : 16;
    slot->object = realloc(slot->object, slot->bytes);
    slot->object[slot->bytes - 1] = 1;
}

__attribute__((noinline)) static void work(uint64_t seed) {
    struct slot *slots = calloc(SLOTS, sizeof *slots);
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (uint64_t i = 0; i < rounds; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        struct slot *slot = &slots[state % SLOTS];
        if (how == 'r') grow(slot); else replace(slot, 16 + (state >> 32) % 4081);
    }
    for (int i = 0; i < SLOTS; i++) free(slots[i].object);
    free(slots);
}

__attribute__((noinline)) static void descend(int left, uint64_t seed) {
    if (left > 0) descend(left - 1, seed); else work(seed);
    __asm__ volatile("");
}

static void *thread(void *seed) {
    descend(depth, (uint64_t)(uintptr_t)seed);
    return NULL;
}

int main(int count, char **arguments) {
    if (count > 1) rounds = strtoull(arguments[1], NULL, 10);
    if (count > 2) depth = atoi(arguments[2]);
    int threads = count > 3 ? atoi(arguments[3]) : 1;
    if (count > 4) how = arguments[4][0];
    pthread_t ids[64];
    for (int i = 1; i < threads; i++) pthread_create(&ids[i], NULL, thread, (void *)(uintptr_t)(i + 1));
    descend(depth, 1);
    for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
    return 0;
}
