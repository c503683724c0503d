/* heapql.h: label scopes for programs in C and C++: whose memory this is, as tenant, context and label.
 *
 * Not needed to be recorded: `heapql run -- PROGRAM` records any program, and what sets no scope has the label
 * "glibc_malloc". Nothing has to be linked: the functions are weak symbols of the preload library, and where it is absent
 * every call is a test of a null pointer. Included by programs. GCC or Clang, C99 or C++11, Linux.
 *
 *     static heapql_label_t cache = HEAPQL_LABEL(1001, 0, "cache");
 *
 *     heapql_scope_t scope = heapql_enter(&cache);     what this thread allocates is the cache's ...
 *     heapql_leave(scope);                             ... until here, whoever frees it and whenever
 *
 *     heapql_push(1001, 0, name);                      the same for a label that is made up at run time;
 *     heapql_pop();                                    these nest 32 deep, enter and leave without bound
 *
 *     heapql::Scope scope(cache);                      C++: until the end of the block, also by an exception
 *
 * tenant_id  1 to 2^63-1: 1 = sys, 500 = the server itself and what has no scope, users from 1001.
 * ctx_id     0 to 2^63-1: 0 = DEFAULT_CTX_ID, 22 = GLIBC.
 * label      UTF-8. The first 15 bytes count, and no part of a character. A null pointer is "".
 *
 * A scope that cannot be had leaves the one around it in force: a tenant or context outside these bounds (one line on
 * stderr), more than 512 labels in the process (counted as labels_full in self_usage), a push more than 32 deep, or a
 * process that is not recorded. Scopes belong to their thread: a new thread begins without one, and a coroutine that may go
 * on elsewhere leaves its scope before it stops. heapql_pop without a push does nothing. All calls may be made in a signal
 * handler. None allocates, blocks or sets errno. */
#ifndef HEAPQL_H
#define HEAPQL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* noplt: a program that is not position independent looks the address up when it starts, too. */
#if defined(__has_attribute)
#if __has_attribute(noplt)
#define HEAPQL_WEAK __attribute__((weak, noplt))
#endif
#endif
#ifndef HEAPQL_WEAK
#define HEAPQL_WEAK __attribute__((weak))
#endif

/* What the library exports. Null where it is absent: the functions below ask first. */
HEAPQL_WEAK int heapql_scope_push(uint64_t tenant_id, uint64_t ctx_id, const char *label);
HEAPQL_WEAK void heapql_scope_pop(void);
HEAPQL_WEAK int32_t heapql_label(uint64_t tenant_id, uint64_t ctx_id, const char *text, size_t bytes);
HEAPQL_WEAK uint16_t heapql_switch(uint16_t number);

/* A label that is looked up at its first use, then known by number: for a static variable. Threads may share it. */
typedef struct {
    uint64_t tenant_id, ctx_id;
    const char *text;
    int32_t known; /* its number plus one */
} heapql_label_t;

#define HEAPQL_LABEL(tenant_id, ctx_id, text) {(tenant_id), (ctx_id), (text), 0}

/* What heapql_enter returns for heapql_leave: the number of the label before, or -1 if nothing has changed. */
typedef int32_t heapql_scope_t;

/* 1 if the library is there, which does not mean that this process is being sampled, else 0. */
static inline int heapql_is_loaded(void)
{
    return heapql_label && heapql_switch && heapql_scope_push && heapql_scope_pop;
}

/* What this thread allocates belongs to the label until heapql_leave of the result. */
static inline heapql_scope_t heapql_enter(heapql_label_t *label)
{
    int32_t known;
    if (!heapql_label || !heapql_switch)
        return -1;
    known = __atomic_load_n(&label->known, __ATOMIC_RELAXED);
    if (known == 0) {
        known = heapql_label(label->tenant_id, label->ctx_id, label->text, label->text ? strlen(label->text) : 0) + 1;
        if (known == 0)
            return -1;
        __atomic_store_n(&label->known, known, __ATOMIC_RELAXED);
    }
    return heapql_switch((uint16_t)(known - 1));
}

/* Scopes end in the reverse order of their beginnings. */
static inline void heapql_leave(heapql_scope_t scope)
{
    if (scope >= 0 && heapql_switch)
        heapql_switch((uint16_t)scope);
}

/* 1 if the scope is in force, else 0. In either case heapql_pop ends it. */
static inline int heapql_push(uint64_t tenant_id, uint64_t ctx_id, const char *label)
{
    return heapql_scope_push ? heapql_scope_push(tenant_id, ctx_id, label) : 0;
}

static inline void heapql_pop(void)
{
    if (heapql_scope_pop)
        heapql_scope_pop();
}

#ifdef __cplusplus
} // extern "C"

namespace heapql {

// heapql_label_t of its own kind: static heapql::Label cache(1001, 0, "cache"). Keeps the pointer to the text.
class Label : public heapql_label_t {
public:
    constexpr Label(uint64_t tenant_id, uint64_t ctx_id, const char *text) noexcept
        : heapql_label_t{tenant_id, ctx_id, text, 0}
    {
    }
};

// The allocations of this thread belong to the label until the end of the block.
class Scope {
public:
    explicit Scope(heapql_label_t &label) noexcept : before(heapql_enter(&label)) {}

    Scope(uint64_t tenant_id, uint64_t ctx_id, const char *text) noexcept
    {
        Label label(tenant_id, ctx_id, text);
        before = heapql_enter(&label);
    }

    ~Scope() { heapql_leave(before); }

    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

private:
    heapql_scope_t before;
};

} // namespace heapql
#endif

#endif
