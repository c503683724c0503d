"""Stacks of many sorts in CPython: extension modules, callbacks through libffi, threads, deep recursion in C. An argument
says how many rounds."""
import ctypes
import decimal
import hashlib
import json
import pickle
import re
import sqlite3
import sys
import threading
import xml.etree.ElementTree
import zlib


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def callbacks():
    libc = ctypes.CDLL(None)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 50)(*((i * 37) % 50 for i in range(50)))
    libc.qsort(numbers, 50, ctypes.sizeof(ctypes.c_int), kind(lambda a, b: a[0] - b[0]))
    assert list(numbers) == list(range(50))


def database():
    base = sqlite3.connect(":memory:")
    base.create_function("twice", 1, lambda x: x * 2)
    base.execute("create table t(a, b)")
    base.executemany("insert into t values (?, ?)", ((i, str(i)) for i in range(300)))
    return base.execute("select sum(twice(a)), group_concat(b) from t group by a % 7 order by 2").fetchall()


def work():
    text = json.dumps([{"a": i, "b": [str(i)] * 3, "c": nested(20)} for i in range(60)])
    json.loads(text)
    re.sub(r"(\d+)(?=\D)", lambda found: found.group(1) * 2, text)
    pickle.loads(pickle.dumps(nested(300)))
    repr(nested(150))
    hashlib.sha512(text.encode() * 50).hexdigest()
    zlib.decompress(zlib.compress(text.encode()))
    xml.etree.ElementTree.fromstring("<a>" + "<b c='d'>e</b>" * 100 + "</a>")
    str(decimal.Decimal(2).sqrt(decimal.Context(prec=500)))
    sorted([str(i) for i in range(300)], key=lambda word: word[::-1])
    callbacks()
    database()


sys.setrecursionlimit(5000)
for _ in range(int(sys.argv[1])):
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
