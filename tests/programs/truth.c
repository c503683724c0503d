/* Allocates and frees without rest on several threads, and keeps the truth in a file that others can read. usage: truth FILE
 *
 * FILE holds two 64-bit words per thread: objects that malloc has returned, objects that are about to be freed. So what is
 * live is their difference, but for the operations under way, of which a thread has at most one. Each object has 1009 bytes
 * and is filled with a pattern that is checked when it goes. It ends with 5 after a while, with 4 if an object has changed. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS = 3, HELD = 200, BYTES = 1009 };
static struct { _Atomic uint64_t made, ended, rest[6]; } *truth;
static volatile int over;

__attribute__((noinline)) static unsigned char *site(void)
{
    unsigned char *object = malloc(BYTES);
    if (!object)
        _exit(3);
    *(volatile unsigned char *)object = 1;
    return object;
}

static void end(unsigned char *object)
{
    for (int i = 0; i < BYTES; i += 100)
        if (object[i] != (unsigned char)(uintptr_t)object)
            _exit(4);
    free(object);
}

static void *work(void *argument)
{
    unsigned char *held[HELD] = { 0 };
    uintptr_t which = (uintptr_t)argument;
    uint64_t random = 77 + which;
    while (!over) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned char **place = &held[(random >> 33) % HELD];
        if (*place) {
            truth[which].ended++;
            end(*place);
        }
        *place = site();
        truth[which].made++;
        memset(*place, (int)(uintptr_t)*place, BYTES);
    }
    for (int i = 0; i < HELD; i++)
        if (held[i])
            end(held[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int file = argc == 2 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    if (file < 0 || ftruncate(file, 4096) != 0)
        return 2;
    truth = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (truth == MAP_FAILED)
        return 2;
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i) != 0)
            return 2;
    char byte;
    if (write(1, "ready\n", 6) != 6)
        return 2;
    while (read(0, &byte, 1) == 1 && byte != '\n') {
    }
    over = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 5;
}
