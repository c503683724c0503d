// Every form of operator new, held until a line comes; then every form of delete, and another line.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <unistd.h>

struct Small { char bytes[40]; };
struct alignas(128) Wide { char bytes[384]; };

enum { N = 100 };
static Small *one[N];
static char *many[N];
static char *quiet[N];
static Wide *wide[N];

__attribute__((noinline)) static void make()
{
    for (int i = 0; i < N; i++) {
        one[i] = new Small;
        many[i] = new char[1100];
        quiet[i] = new (std::nothrow) char[1300];
        wide[i] = new Wide;
    }
}

__attribute__((noinline)) static void drop()
{
    for (int i = 0; i < N; i++) {
        delete one[i];
        delete[] many[i];
        delete[] quiet[i];
        delete wide[i];
    }
}

static void wait_line(const char *say)
{
    char byte = 0;
    fputs(say, stdout);
    fflush(stdout);
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
}

int main()
{
    make();
    wait_line("ready\n");
    drop();
    wait_line("ok\n");
    try {
        volatile size_t huge = SIZE_MAX / 2;
        char *never = new char[huge];
        never[0] = 1;
        puts("allocated the impossible");
        return 1;
    } catch (const std::bad_alloc &) {
        puts("bad_alloc");
    }
    return 0;
}
