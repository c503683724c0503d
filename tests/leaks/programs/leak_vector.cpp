// leak: function record_event
// A std::vector of heap objects that only grows: 60 per second.
#include "program.h"
#include <memory>
#include <vector>

struct Event { char text[120]; };

static std::vector<std::unique_ptr<Event>> events;

NOINLINE static void record_event() { events.push_back(std::make_unique<Event>()); }

static void step(double) {
    for (unsigned n = at_rate(60); n > 0; n--) record_event();
    requests(10);
}
