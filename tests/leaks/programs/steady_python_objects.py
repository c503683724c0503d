# steady: CPython; documents, cycles for the collector, a bounded cache, a ring and a list that is cleared
import collections
import functools
import json
import random
import time

DOCUMENT = [{"number": number, "text": "x" * 50, "values": [1.5, 2.5, None]} for number in range(20)]
ring = collections.deque(maxlen=5000)
batch = []


class Node:
    pass


@functools.lru_cache(maxsize=2000)
def remember(number):
    return f"value {number}" * 5


def make_cycle():
    one, other = Node(), Node()
    one.other, other.other = other, one
    one.data = [random.random() for _ in range(10)]


while True:
    json.loads(json.dumps(DOCUMENT))
    for _ in range(10):
        make_cycle()
        remember(int(random.paretovariate(0.5)) % 20000)
        ring.append(f"line {random.random()}")
        batch.append(str(random.random()))
    if len(batch) > 5000:
        batch.clear()
    time.sleep(0.02)
