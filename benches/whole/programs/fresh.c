// Every allocation has a stack that no allocation had before: 16 frames, each of one of two functions, the bits of a
// number saying which. `fresh [stacks]`, at most 65536. What a new stack costs. Run by run.py.
#include <stdlib.h>

static void *kept;

__attribute__((noinline)) static void left(unsigned path, int frames);
__attribute__((noinline)) static void right(unsigned path, int frames);

static inline void next(unsigned path, int frames) {
    if (frames == 0) {
        free(kept);
        kept = malloc(64);
    } else if (path & 1) {
        left(path >> 1, frames - 1);
    } else {
        right(path >> 1, frames - 1);
    }
}

static void left(unsigned path, int frames) {
    next(path, frames);
    __asm__ volatile("");
}

static void right(unsigned path, int frames) {
    next(path, frames);
    __asm__ volatile("");
}

int main(int count, char **arguments) {
    unsigned stacks = count > 1 ? atoi(arguments[1]) : 65536;
    for (unsigned path = 0; path < stacks; path++) next(path, 16);
    free(kept);
    return 0;
}
