"""What a scope costs a Python program: `price.py WHAT COUNT` enters and leaves so many, and prints nanoseconds for each. Run
by run.py, under callgrind and by the clock."""
import sys
import time

import heapql


def nothing():
    pass


class Once:
    def __await__(self):
        yield


async def turns(count):
    once = Once()
    for _ in range(count):
        await once


def steps(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


what, count = sys.argv[1], int(sys.argv[2])
labelled = heapql.scope("fixed", tenant=1001)(nothing)
started = time.perf_counter_ns()
if what == "loop":
    for _ in range(count):
        nothing()
elif what == "with":
    for _ in range(count):
        with heapql.scope("fixed", tenant=1001):
            nothing()
elif what == "decorator":
    for _ in range(count):
        labelled()
elif what == "step":
    steps(turns(count))
elif what == "step in scope":
    steps(heapql.scoped(turns(count), "fixed", tenant=1001))
else:
    sys.exit(2)
print((time.perf_counter_ns() - started) / count)
