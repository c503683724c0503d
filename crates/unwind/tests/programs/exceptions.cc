// Captures in the middle of C++ exceptions. Built by tests/oracle.rs.
#include <stdexcept>
#include <string>
#include <vector>

static void (*probe)();
static volatile int zero;

struct Guard {
    ~Guard() { probe(); zero = zero; }
};

__attribute__((noinline)) static void throws(int n) {
    Guard guard;
    std::vector<std::string> strings(3, "long enough not to be small, that is more than sixteen");
    if (n == 0) throw std::runtime_error(strings[zero]);
    throws(n - 1);
    zero = zero;
}

extern "C" int run(const char *, void (*callback)()) {
    probe = callback;
    int caught = 0;
    try {
        throws(5);
    } catch (const std::exception &error) {
        probe();
        caught = error.what()[0];
        try { throws(2); } catch (...) { probe(); }
    }
    probe();
    return caught;
}
