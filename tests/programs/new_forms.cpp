// operator new and delete in all their forms, a handler that makes room, and std::pmr.
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "holds.h"

struct alignas(256) Aligned {
    char bytes[768];
};

static void forms()
{
    void *object = kept(operator new(plain(1801)));
    operator delete(object);
    object = kept(operator new(plain(1801)));
    operator delete(object, size_t{1801});
    object = kept(operator new[](plain(1801)));
    operator delete[](object);
    object = kept(operator new[](plain(1801)));
    operator delete[](object, size_t{1801});
    object = kept(operator new(plain(1801), std::nothrow));
    operator delete(object, std::nothrow);
    object = kept(operator new[](plain(1801), std::nothrow));
    operator delete[](object, std::nothrow);
    for (size_t to = 16; to <= 65536; to *= 2) {
        std::align_val_t align{to};
        object = kept(operator new(plain(1811), align));
        HOLDS(aligned(object, to));
        operator delete(object, align);
        object = kept(operator new[](plain(1811), align, std::nothrow));
        HOLDS(aligned(object, to));
        operator delete[](object, size_t{1811}, align);
    }
    for (int i = 0; i < 100; i++) {
        auto *one = new Aligned;
        HOLDS(aligned(kept(one), 256));
        if (i % 2)
            delete one;
        auto *none = new char[plain(0)];
        HOLDS(none != nullptr);
        delete[] none;
    }
    left(1801, 0);
    left(1811, 0);
    left(768, 50);
}

static void *reserve;
static int asked;

static void make_room()
{
    asked++;
    if (!reserve)
        std::set_new_handler(nullptr);
    free(reserve);
    reserve = nullptr;
}

static void handlers()
{
    reserve = malloc(plain(1823));
    std::set_new_handler(make_room);
    bool thrown = false;
    try {
        kept(operator new(plain(PTRDIFF_MAX)));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    HOLDS(thrown && asked == 2 && !reserve);
    HOLDS(!kept(operator new(plain(PTRDIFF_MAX), std::nothrow)));
    thrown = false;
    try {
        kept(new char[plain(SIZE_MAX)]);
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    HOLDS(thrown);
    left(1823, 0);
}

static void resources()
{
    std::pmr::unsynchronized_pool_resource pool;
    std::pmr::monotonic_buffer_resource buffer(1831);
    for (int i = 0; i < 50; i++) {
        std::pmr::vector<std::pmr::string> strings(i % 2 ? static_cast<std::pmr::memory_resource *>(&pool) : &buffer);
        for (int k = 0; k < 100; k++)
            strings.emplace_back(plain(static_cast<size_t>(k) + 20), 'x');
        HOLDS(strings[99].size() == 119 && strings[99][118] == 'x');
    }
}

int main()
{
    forms();
    handlers();
    resources();
    return verdict();
}
