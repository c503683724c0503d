// Frames of many sorts, each of which ends in a call of `probe`. Built by tests/oracle.rs with several sets of flags.
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

// Another size, the same code but for a number.
#ifndef LARGE
#define LARGE 100000
#endif

// So long that its addresses in the library are nothing like the executable's.
#ifdef PADDING
__attribute__((used)) static const char padding[PADDING] = {1};
#endif

typedef void (*probe_t)(void);
static probe_t probe;
volatile int zero;
volatile void *escaped;
// Not a tail call, and all of the frame is in use after it.
#define AFTER(value) (zero += (int)(value) & zero)

__attribute__((noinline)) static int leaf(int a, int b, int c) { probe(); AFTER(a + b + c); return a ^ b ^ c; }

__attribute__((noinline)) static int saves_registers(int a, int b, int c, int d, int e, int f) {
    int x = leaf(a, b, c), y = leaf(d, e, f);
    AFTER(x * y + a + b + c + d + e + f);
    return x + y;
}

__attribute__((noinline)) static int large_frame(void) {
    char buffer[LARGE];
    escaped = buffer; buffer[zero] = 1;
    int x = saves_registers(1, 2, 3, 4, 5, 6);
    AFTER(buffer[zero]);
    return x;
}

__attribute__((noinline)) static int huge_frame(void) {
    char buffer[1000000];
    escaped = buffer; buffer[zero] = 1;
    int x = large_frame();
    AFTER(buffer[zero]);
    return x;
}

__attribute__((noinline)) static int variable_length(int n) {
    char buffer[n * 16 + 1];
    escaped = buffer; memset(buffer, n, sizeof buffer);
    int x = saves_registers(n, 2, 3, 4, 5, 6);
    AFTER(buffer[zero]);
    return x;
}

__attribute__((noinline)) static int allocas(int n) {
    char *buffer = alloca(n);
    escaped = buffer; buffer[0] = 1;
    int x = variable_length(n);
    AFTER(buffer[0]);
    return x;
}

__attribute__((noinline)) static int realigned(int n) {
    struct { char bytes[64]; } __attribute__((aligned(64))) local;
    escaped = &local; local.bytes[zero] = (char)n;
    int x = saves_registers(n, 2, 3, 4, 5, 6);
    AFTER(local.bytes[zero] + ((uintptr_t)&local % 64));
    return x;
}

// Realigned, with arguments on the stack and a variable size: found through a pointer saved below rbp.
__attribute__((noinline)) static int realigned_variable(int a, int b, int c, int d, int e, int f, int n, int h) {
    struct { char bytes[64]; } __attribute__((aligned(64))) local;
    char *buffer = alloca(n);
    escaped = &local; local.bytes[zero] = (char)n; escaped = buffer; buffer[0] = 1;
    int x = realigned(n);
    AFTER(local.bytes[zero] + buffer[0] + a + b + c + d + e + f + h);
    return x;
}

__attribute__((noinline)) static int recursive(int n) {
    char buffer[24];
    escaped = buffer; buffer[zero] = (char)n;
    int x = n ? recursive(n - 1) : leaf(1, 2, 3);
    AFTER(buffer[zero] + n);
    return x;
}

__attribute__((noinline)) static int odd(int n);
__attribute__((noinline)) static int even(int n) { int x = n ? odd(n - 1) : allocas(40); AFTER(n); return x + 1; }
__attribute__((noinline)) static int odd(int n) { int x = n ? even(n - 1) : realigned(40); AFTER(n); return x + 2; }

static int compare(const void *a, const void *b) {
    static int once;
    if (!once++) leaf(1, 2, 3);
    return *(const int *)a - *(const int *)b;
}

// Through the procedure linkage table into libc and back.
__attribute__((noinline)) static int through_libc(void) {
    int numbers[] = {3, 1, 2, 5, 4};
    qsort(numbers, 5, sizeof *numbers, compare);
    AFTER(numbers[0]);
    return numbers[0];
}

static void on_signal(int signal) { AFTER(signal); even(3); AFTER(signal); }

__attribute__((noinline)) static int in_signal_handler(int flags) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags}, before;
    sigaction(SIGUSR1, &action, &before);
    int x = raise(SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
    return x;
}

#ifdef __aarch64__
#define TRAP "brk #0"
#define AFTER_TRAP(context) ((context)->uc_mcontext.pc += 4)
#else
#define TRAP "int3"
#define AFTER_TRAP(context) (void)(context)
#endif
static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)info;
    on_signal(signal);
    AFTER_TRAP((ucontext_t *)context);
}

// Calls nobody, so it need not save where it returns to.
__attribute__((noinline)) static int trap(int n) { __asm__ volatile(TRAP ::: "memory"); return n + zero; }

// Interrupted by its own trap and by another's, at addresses that are not return addresses.
__attribute__((noinline)) static int interrupted(int n) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, before;
    sigaction(SIGTRAP, &action, &before);
    __asm__ volatile(TRAP ::: "memory");
    n += trap(n);
    sigaction(SIGTRAP, &before, NULL);
    AFTER(n);
    return n;
}

// As the dynamic loader's resolver: its frame is known by rbx, which it has here when it is interrupted, and which the
// function saved that it calls.
__attribute__((used)) static void leaf_of_assembly(void) { leaf(1, 2, 3); }
void frame_by_rbx(void);
__asm__(
    ".local frame_by_rbx\n.type frame_by_rbx,@function\nframe_by_rbx:\n.cfi_startproc\n"
    "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset rbx, 0\nmov %rsp, %rbx\n.cfi_def_cfa_register rbx\n"
    "and $-64, %rsp\nsub $256, %rsp\nint3\ncall saves_rbx\n"
    "mov %rbx, %rsp\n.cfi_def_cfa_register rsp\npop %rbx\n.cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\n"
    ".type saves_rbx,@function\nsaves_rbx:\n.cfi_startproc\npush %rbx\n.cfi_adjust_cfa_offset 8\n"
    ".cfi_rel_offset rbx, 0\nxor %ebx, %ebx\ncall leaf_of_assembly\npop %rbx\n.cfi_adjust_cfa_offset -8\nret\n"
    ".cfi_endproc\n");

__attribute__((noinline)) static int by_rbx(int n) {
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGTRAP, &action, &before);
    frame_by_rbx();
    sigaction(SIGTRAP, &before, NULL);
    AFTER(n);
    return n;
}

__attribute__((noinline)) static int on_alternate_stack(void) {
    stack_t stack = {.ss_size = 1 << 18}, before;
    stack.ss_sp = malloc(stack.ss_size);
    sigaltstack(&stack, &before);
    int x = in_signal_handler(SA_ONSTACK);
    sigaltstack(&before, NULL);
    free(stack.ss_sp);
    return x;
}

static void *thread(void *argument) { recursive(5); even(5); return argument; }

__attribute__((noinline)) static int in_thread(void) {
    pthread_t id;
    pthread_create(&id, NULL, thread, NULL);
    return pthread_join(id, NULL);
}

static ucontext_t outside, inside;
static void coroutine(void) { recursive(5); allocas(50); }

__attribute__((noinline)) static int in_coroutine(void) {
    size_t size = 1 << 18;
    char *stack = malloc(size);
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack; inside.uc_stack.ss_size = size; inside.uc_link = &outside;
    makecontext(&inside, coroutine, 0);
    swapcontext(&outside, &inside);
    free(stack);
    return 0;
}

// Code of the run-time kind: it keeps a frame pointer, and says nothing of itself.
void without_information(probe_t callback);
#ifdef __aarch64__
__asm__("without_information: stp x29, x30, [sp, #-48]!; mov x29, sp; blr x0; ldp x29, x30, [sp], #48; ret");
#else
__asm__("without_information: push %rbp; mov %rsp, %rbp; sub $32, %rsp; call *%rdi; leave; ret");
#endif

__attribute__((noinline)) static int calls_unknown_code(int n) {
    probe();
    without_information(probe);
    AFTER(n);
    return n;
}

int run(const char *name, probe_t callback) {
    probe = callback;
    int n = zero + 100;
    if (!strcmp(name, "saved registers")) return saves_registers(1, 2, 3, 4, 5, 6);
    if (!strcmp(name, "large frames")) return huge_frame();
    if (!strcmp(name, "alloca and VLA")) return allocas(n) + variable_length(n + 7);
    if (!strcmp(name, "realigned frames")) return realigned(n) + realigned_variable(1, 2, 3, 4, 5, 6, n, 8);
    if (!strcmp(name, "recursion")) return recursive(200) + even(51) + even(52);
    if (!strcmp(name, "through libc")) return through_libc();
    if (!strcmp(name, "signal handler")) return in_signal_handler(0) + in_signal_handler(SA_SIGINFO);
    if (!strcmp(name, "interrupted")) return interrupted(n);
    if (!strcmp(name, "frame by rbx")) return by_rbx(n);
    if (!strcmp(name, "alternate stack")) return on_alternate_stack();
    if (!strcmp(name, "thread")) return in_thread();
    if (!strcmp(name, "coroutine")) return in_coroutine();
    if (!strcmp(name, "unknown code")) return calls_unknown_code(n);
    return -1000000;
}
