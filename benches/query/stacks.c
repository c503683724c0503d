// Leaks one object from each of N distinct stacks, all different within their innermost 12 frames, then waits.
// `stacks N`.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static void descend(unsigned path, int left) {
    if (left == 0) {
        char *volatile object = malloc(16 + path % 64);
        object[0] = 1;
        return;
    }
    // Four call sites a level.
    switch (path % 4) {
    case 0: descend(path / 4, left - 1); break;
    case 1: descend(path / 4, left - 1); __asm__ volatile("nop"); break;
    case 2: descend(path / 4, left - 1); __asm__ volatile("nop; nop"); break;
    default: descend(path / 4, left - 1); __asm__ volatile("nop; nop; nop"); break;
    }
    __asm__ volatile("");
}

int main(int count, char **arguments) {
    unsigned stacks = count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 1000;
    for (unsigned path = 0; path < stacks; path++) descend(path, 10);
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
