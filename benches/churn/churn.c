// Weeks of a busy server in minutes: 10^9 calls of malloc, realloc and free, and what they leave resident.
//
// `churn [operations in millions] [days]`. All days are the same: ten phases of traffic that come and go in threads of their
// own, with sizes that drift from small to large and back, lifetimes from none to many days, and two bursts that keep nearly
// nothing of what they allocate. Objects are freed by other threads than made them. One line of CSV per phase: live bytes
// at its end and at their most, resident bytes at its end and at their most, of which shared (the ledger), and the ledger's
// size on disk. Run by run.py, plain and recorded. Not a benchmark of speed.
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 1 << 18, PHASES = 10, MOST_THREADS = 8, BATCH = 32, BURST_BYTES = 384 << 20 };

struct slot {
    char *object;
    uint32_t bytes;
};

struct phase {
    int threads, shift; // sizes are up to 32 << shift
    int burst;
};

static const struct phase day[PHASES] = {
    {1, 3, 0}, {2, 4, 0}, {4, 5, 0}, {3, 5, 1}, {2, 6, 0}, {4, 7, 0}, {6, 6, 0}, {2, 8, 1}, {1, 9, 0}, {2, 4, 0},
};

static struct slot slots[SLOTS];
static atomic_long live, most_live;
static long phase_operations;

struct worker {
    pthread_t thread;
    const struct phase *phase;
    struct slot *slots;
    size_t count;
    long operations;
    uint64_t state;
};

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

static void count(long bytes) {
    long now = atomic_fetch_add(&live, bytes) + bytes, most = atomic_load(&most_live);
    while (now > most && !atomic_compare_exchange_weak(&most_live, &most, now)) {}
}

// Most are far smaller than the largest, one in 4096 is far larger.
static uint32_t size(const struct phase *phase, uint64_t random) {
    if (random % 4096 == 0) return 1 << 18 | (random >> 40) << 2;
    uint32_t most = 32u << phase->shift >> (random >> 12) % 5;
    return 16 + (random >> 16) % (most + 1);
}

static long drop(struct slot *slot) {
    long bytes = slot->bytes;
    free(slot->object);
    *slot = (struct slot){NULL, 0};
    return -bytes;
}

static long fill(struct slot *slot, uint32_t bytes) {
    slot->object = malloc(bytes);
    slot->bytes = bytes;
    memset(slot->object, 1, bytes < 4096 ? bytes : 4096);
    return bytes;
}

// Half of what is allocated is freed at once, most of the rest soon, some in days: the upper slots are rarely chosen.
__attribute__((noinline)) static void work(struct worker *worker) {
    long balance = 0;
    for (int i = 0; i < BATCH; i++) {
        uint64_t random = next(&worker->state);
        uint32_t bytes = size(worker->phase, random >> 8);
        size_t among = worker->count >> (random >> 32) % 12;
        struct slot *slot = &worker->slots[(random >> 36) % (among ? among : 1)];
        if (random & 1) {
            free(malloc(bytes));
            worker->operations -= 2;
        } else if (slot->object && (random & 14) == 0) {
            balance += (long)bytes - slot->bytes;
            slot->object = realloc(slot->object, bytes);
            slot->bytes = bytes;
            worker->operations--;
        } else {
            worker->operations -= slot->object ? 2 : 1;
            if (slot->object) balance += drop(slot);
            balance += fill(slot, bytes);
        }
    }
    count(balance);
}

// A stack of its own for each of 64 kinds of work.
__attribute__((noinline)) static void left(struct worker *worker, unsigned path, int frames);

__attribute__((noinline)) static void right(struct worker *worker, unsigned path, int frames) {
    if (frames == 0) work(worker); else if (path & 1) left(worker, path >> 1, frames - 1);
    else right(worker, path >> 1, frames - 1);
    __asm__ volatile("");
}

static void left(struct worker *worker, unsigned path, int frames) {
    if (frames == 0) work(worker); else right(worker, path >> 1, frames - 1);
    __asm__ volatile("");
}

// Allocates much, then frees all but one in 4096, in another order.
static void burst(struct worker *worker) {
    size_t capacity = BURST_BYTES / 64 / worker->phase->threads, used = 0;
    struct slot *all = malloc(capacity * sizeof *all);
    for (long bytes = 0; bytes < BURST_BYTES / worker->phase->threads && used < capacity; used++) {
        long more = fill(&all[used], size(worker->phase, next(&worker->state) >> 8 | 1 << 12));
        bytes += more;
        count(more);
    }
    for (size_t at = 0, i = 0; i < used; i++, at = (at + 7919) % used) {
        struct slot *kept = &worker->slots[at % worker->count];
        if (at % 4096 == 0 && kept->object == NULL) *kept = all[at];
        else if (all[at].object) count(drop(&all[at]));
        all[at].object = NULL;
    }
    free(all);
    worker->operations -= 2 * used;
}

static void *run(void *argument) {
    struct worker *worker = argument;
    if (worker->phase->burst) burst(worker);
    while (worker->operations > 0) left(worker, next(&worker->state) >> 32, 6);
    return NULL;
}

static void perform(const struct phase *phase, int number) {
    struct worker workers[MOST_THREADS];
    for (int i = 0; i < phase->threads; i++) {
        size_t share = SLOTS / phase->threads;
        uint64_t seed = (number * MOST_THREADS + i + 1) * 0x9e3779b97f4a7c15u;
        workers[i] = (struct worker){0, phase, slots + i * share, share, phase_operations / phase->threads, seed};
        pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    for (int i = 0; i < phase->threads; i++) pthread_join(workers[i].thread, NULL);
}

// A field of /proc/self/status in bytes.
static long status(const char *text, const char *field) {
    const char *at = strstr(text, field);
    return at ? atol(at + strlen(field)) << 10 : 0;
}

static long ledger_bytes(const char *directory) {
    DIR *open = directory ? opendir(directory) : NULL;
    long bytes = 0;
    struct stat stat;
    for (struct dirent *entry; open && (entry = readdir(open));)
        if (strstr(entry->d_name, ".heapql") && fstatat(dirfd(open), entry->d_name, &stat, 0) == 0)
            bytes += stat.st_blocks * 512;
    if (open) closedir(open);
    return bytes;
}

static void report(int day_number, int phase) {
    static char text[8192];
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    printf("%d,%d,%ld,%ld,%ld,%ld,%ld,%ld\n", day_number, phase, atomic_load(&live), atomic_load(&most_live),
           status(text, "VmRSS:"), status(text, "VmHWM:"), status(text, "RssShmem:"), ledger_bytes(getenv("HEAPQL_DIR")));
    fflush(stdout);
    // The next phase's own high-water mark.
    fd = open("/proc/self/clear_refs", O_WRONLY);
    if (fd >= 0 && write(fd, "5", 1) != 1) perror("clear_refs");
    close(fd);
    atomic_store(&most_live, atomic_load(&live));
}

int main(int argument_count, char **arguments) {
    long millions = argument_count > 1 ? atol(arguments[1]) : 1000;
    int days = argument_count > 2 ? atoi(arguments[2]) : 10;
    phase_operations = millions * 1000000 / days / PHASES;
    puts("day,phase,live_bytes,most_live_bytes,rss_bytes,most_rss_bytes,shmem_bytes,ledger_bytes");
    for (int number = 0; number < days; number++)
        for (int phase = 0; phase < PHASES; phase++) {
            perform(&day[phase], phase);
            report(number, phase);
        }
    return 0;
}
