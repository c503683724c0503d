/* Leaks from the end of a chain of six functions that a debugger would show as f6 f5 f4 f3 f2 f1 main. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAME __attribute__((noinline))

enum { COUNT = 300, BYTES = 1237 };
static volatile int depth;
static void *volatile leaked[COUNT];

/* The addition after each call keeps it a call. */
FRAME void f6(int i) { leaked[i] = malloc(BYTES); depth += 6; }
FRAME void f5(int i) { char room[48]; room[i % 48] = 5; *(volatile char *)room; f6(i); depth += 5; }
FRAME void f4(int i) { f5(i); depth += 4; }
FRAME void f3(int i) { char room[4096]; room[i] = 3; *(volatile char *)(room + i); f4(i); depth += 3; }
FRAME void f2(int i) { f3(i); depth += 2; }
FRAME void f1(int i) { f2(i); depth += 1; }

int main(void)
{
    char byte;
    for (int i = 0; i < COUNT; i++)
        f1(i);
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
    return 0;
}
