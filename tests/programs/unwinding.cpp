// Frames that are left without returning: C++ exceptions and longjmp through functions whose objects are samples,
// exception objects themselves, and coroutines of C++20, whose frames are objects.
#include <csetjmp>
#include <coroutine>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "holds.h"

struct Guard {
    void *object = malloc(plain(1701));
    Guard() { HOLDS(object != nullptr); }
    ~Guard() { free(object); }
    Guard(const Guard &) = delete;
};

struct Large {
    char bytes[1721 - 128]; // the C++ library puts 128 bytes in front
};

SITE long fall(int depth)
{
    Guard guard;
    if (depth == 0)
        throw Large{};
    long below = fall(depth - 1);
    return below + (guard.object != nullptr);
}

SITE long fall_and_throw_again(int depth)
{
    Guard guard;
    if (depth == 0)
        return fall(20);
    try {
        return fall_and_throw_again(depth - 1) + 1;
    } catch (...) {
        void *object = malloc(plain(1709));
        free(object);
        throw;
    }
}

static void exceptions()
{
    std::vector<std::exception_ptr> held;
    for (int i = 0; i < 200; i++) {
        try {
            fall_and_throw_again(10);
            HOLDS(!"it throws");
        } catch (const Large &) {
            if (i % 10 == 0)
                held.push_back(std::current_exception());
        }
    }
    left(1701, 0);
    left(1709, 0);
    left(1721, 20);
    new std::vector<std::exception_ptr>(std::move(held));
}

static jmp_buf out;

SITE long jump(int depth)
{
    void *lost = malloc(plain(1723)), *found = malloc(plain(1733));
    free(found);
    if (depth == 0)
        longjmp(out, 7);
    return jump(depth - 1) + (lost != nullptr);
}

static void jumps()
{
    for (volatile int i = 0; i < 50; i = i + 1)
        if (setjmp(out) == 0)
            jump(9);
    left(1723, 500);
    left(1733, 0);
}

struct Numbers {
    struct promise_type {
        int value = 0;
        void *operator new(size_t) { return malloc(plain(1741)); }
        void operator delete(void *frame) { free(frame); }
        Numbers get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(int next)
        {
            value = next;
            return {};
        }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};

static Numbers count(int upto)
{
    for (int i = 0; i < upto; i++) {
        Guard guard;
        co_yield i;
    }
}

// Resumed by one thread after another.
static void coroutines()
{
    std::vector<Numbers> alive;
    for (int i = 0; i < 100; i++) {
        Numbers numbers = count(10);
        int sum = 0;
        auto take = [&] {
            for (int k = 0; k < 5; k++, sum += numbers.handle.promise().value)
                numbers.handle.resume();
        };
        take();
        std::thread(take).join();
        HOLDS(sum == 45);
        if (i % 10)
            numbers.handle.destroy();
        else
            alive.push_back(numbers);
    }
    left(1741, 10);
    // Each is stopped inside of its last guard.
    for (auto &numbers : alive) {
        numbers.handle.resume();
        HOLDS(numbers.handle.done());
    }
    new std::vector<Numbers>(std::move(alive));
}

struct AtThreadEnd {
    std::unique_ptr<Guard> guard = std::make_unique<Guard>();
    void touch() { HOLDS(guard->object != nullptr); }
    ~AtThreadEnd()
    {
        free(malloc(plain(1747)));
        kept(malloc(plain(1753)));
    }
};
static thread_local AtThreadEnd at_thread_end;

static void thread_locals()
{
    for (int i = 0; i < 100; i++)
        std::thread([] { at_thread_end.touch(); }).join();
    left(1747, 0);
    left(1753, 100);
}

int main()
{
    exceptions();
    jumps();
    coroutines();
    thread_locals();
    return verdict();
}
