// Labels in C++: blocks, and a scope that an exception ends. Runs with HeapQL and without; the tests run it and ask for its
// rows.
//
//     c++ -Iinclude examples/labels.cpp -o labels && heapql run --keep -- ./labels
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "heapql.h"

static heapql::Label cache(1001, 12, "cache");
static std::vector<char *> held;

static void hold(int count)
{
    while (count-- > 0)
        held.push_back(new char[3000]);
}

static void shop(unsigned number)
{
    heapql::Scope scope(2000 + number, 0, ("shop" + std::to_string(number)).c_str());
    hold(40);
    throw std::runtime_error("closed");
}

int main()
{
    held.reserve(1000);
    hold(5);
    {
        heapql::Scope scope(cache);
        hold(10);
        for (unsigned number = 0; number < 3; number++) {
            try {
                shop(number);
            } catch (const std::runtime_error &) {
                hold(1);
            }
        }
    }
    hold(5);
    std::cout << "ready" << std::endl;
    std::cin.get();
}
