/* A service that leaks: it answers requests, keeps a cache of bounded size, and forgets to free one buffer in eight.
 * Nothing of it knows that it is recorded. It is not the demo of `heapql demo`; compose.yaml runs it beside each server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CACHED = 512 };
static char *cache[CACHED];

__attribute__((noinline)) static char *read_request(unsigned number)
{
    char *request = malloc(96);
    snprintf(request, 96, "GET /items/%u", number);
    return request;
}

__attribute__((noinline)) static char *render_page(const char *request, unsigned number)
{
    size_t bytes = 1024 + number % 7 * 512;
    char *page = malloc(bytes);
    memset(page, ' ', bytes);
    memcpy(page, request, strlen(request));
    return page;
}

__attribute__((noinline)) static void remember(char *page, unsigned number)
{
    free(cache[number % CACHED]);
    cache[number % CACHED] = page;
}

__attribute__((noinline)) static void serve_request(unsigned number)
{
    char *request = read_request(number);
    remember(render_page(request, number), number);
    if (number % 8 != 0)
        free(request); /* one in eight is forgotten */
}

int main(void)
{
    puts("serving");
    fflush(stdout);
    for (unsigned number = 0;; number++) {
        serve_request(number);
        if (number % 100 == 99)
            usleep(100000);
    }
}
