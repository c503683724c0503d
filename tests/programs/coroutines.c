/* Stacks that belong to no thread: small ones from malloc and mmap between pages that cannot be touched, unmapped as
 * soon as they are left, cut short and used again; and one that is very deep. A walk that reads outside of the stack it
 * is on ends this program. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "holds.h"

enum { SMALL = 16 << 10, PAGE = 4096 };

static ucontext_t scheduler, routine;
static void *made[2000];
static int count;

SITE void *by_malloc_stack(void) { return kept(malloc(plain(1201))); }
SITE void *by_mmap_stack(void) { return kept(malloc(plain(1213))); }
SITE void *by_thread_stack(void) { return kept(malloc(plain(1217))); }

/* Allocates, yields, allocates again on the same stack from elsewhere in it. */
static void generator(int mapped)
{
    for (int i = 0; i < 4; i++) {
        char *room = __builtin_alloca(64 * (size_t)(i + 1));
        room[0] = 1;
        made[count++] = mapped ? by_mmap_stack() : by_malloc_stack();
        swapcontext(&routine, &scheduler);
    }
    free(kept(malloc(33)));
}

/* Small, writable, between two pages that are not. */
static char *guarded(void)
{
    char *low = mmap(NULL, SMALL + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(low + PAGE, SMALL, PROT_READ | PROT_WRITE);
    return low + PAGE;
}

static void generators(void)
{
    for (int i = 0; i < 200; i++) {
        int mapped = i % 2;
        char *stack = mapped ? guarded() : kept(malloc(SMALL));
        getcontext(&routine);
        routine.uc_stack.ss_sp = stack;
        routine.uc_stack.ss_size = SMALL;
        routine.uc_link = &scheduler;
        makecontext(&routine, (void (*)(void))generator, 1, mapped);
        for (int k = 0; k < 5; k++) {
            swapcontext(&scheduler, &routine);
            /* In between, the thread's own stack has its turn. */
            free(by_thread_stack());
        }
        if (mapped)
            munmap(stack - PAGE, SMALL + 2 * PAGE);
        else
            free(stack);
    }
    HOLDS(count == 800);
    for (int i = 0; i < 800; i += 4)
        free(made[i]);
    left(1201, 300);
    left(1213, 300);
    left(1217, 0);
}

/* Calls `work` with the stack pointer at `top`, as context switchers written by hand do. */
void on_stack(void *top, void (*work)(void));
/* Calls `work` with any value in rbp, and has no call frame information that would tell: as generated code may. */
void without_information(void (*work)(void), void *rbp);

__asm__(".text\n"
        ".type on_stack,@function\n"
        "on_stack:\n"
        ".cfi_startproc\n"
        "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset rbx, 0\n"
        "mov %rsp, %rbx\n.cfi_def_cfa_register rbx\n"
        "mov %rdi, %rsp\n"
        "call *%rsi\n"
        "mov %rbx, %rsp\n.cfi_def_cfa_register rsp\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size on_stack, .-on_stack\n"
        ".type without_information,@function\n"
        "without_information:\n"
        "push %rbp\n"
        "mov %rsi, %rbp\n"
        "call *%rdi\n"
        "pop %rbp\n"
        "ret\n"
        ".size without_information, .-without_information\n");

static void *garbage;

SITE void allocate(void) { free(kept(malloc(plain(1223)))); }
SITE void allocate_oddly(void) { without_information(allocate, garbage); }

/* A stack whose upper part is gone when it is used again, and whose frames point there. */
static void cut_short(void)
{
    for (int i = 0; i < 30; i++) {
        char *stack = guarded();
        on_stack(stack + SMALL - 64, allocate);
        on_stack(stack + SMALL - 64, allocate_oddly);
        if (i % 2)
            mprotect(stack + PAGE, SMALL - PAGE, PROT_NONE);
        else
            munmap(stack + PAGE, SMALL - PAGE);
        for (int k = 8; k < SMALL + 64; k += 1000) {
            garbage = stack + k / 8 * 8;
            on_stack(stack + PAGE - 64, allocate_oddly);
            on_stack(stack + PAGE - 128, allocate_oddly);
        }
        munmap(stack - PAGE, SMALL + 2 * PAGE);
        /* Whatever comes to lie there now is not the stack that was. */
        allocate();
    }
}

/* rbp may hold anything: also an address of this stack, or of another one, or none at all. */
static void wild_frame_pointers(void)
{
    char here[64];
    void *values[] = { NULL, (void *)8, here, here + 1, (void *)-8, (void *)0x7fffffffeff8, &scheduler, stdout,
                       made[1], (void *)0x800000000000, __builtin_frame_address(0), (void *)allocate };
    memset(here, 0, sizeof here);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        garbage = values[i];
        allocate_oddly();
    }
}

SITE long deep(long left_over)
{
    volatile char room[64];
    room[left_over % 64] = 1;
    if (left_over % 5000 == 0)
        made[count++] = kept(malloc(plain(1229)));
    return left_over == 0 ? 0 : deep(left_over - 1) + room[left_over % 64];
}

static jmp_buf out;

SITE long deep_out(long left_over)
{
    volatile char room[100];
    room[left_over % 100] = 1;
    if (left_over == 0)
        longjmp(out, 1);
    if (left_over % 100 == 0)
        free(kept(malloc(plain(77))));
    return deep_out(left_over - 1) + room[left_over % 100];
}

static void depths(void)
{
    count = 0;
    HOLDS(deep(40000) == 40000);
    HOLDS(count == 9);
    for (int i = 0; i < 4; i++)
        free(made[i]);
    left(1229, 5);
    for (int i = 0; i < 20; i++)
        if (setjmp(out) == 0)
            deep_out(20000);
}

int main(void)
{
    generators();
    cut_short();
    wild_frame_pointers();
    depths();
    return verdict();
}
