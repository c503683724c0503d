"""The programs that are measured: small ones that do nothing but allocate, and real ones of Debian. Not a measurement:
`run.py` takes those.
"""
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Callable

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


@dataclass
class Workload:
    name: str
    # Under the instruction counter, about a second natively slower by 10; by the clock, a second or less. None: not so.
    counted: list | None
    timed: list | None
    # Of a Rust program that is its own recorder: these two instead, without the preload library.
    recorded: tuple | None = None
    # The same by two threads at once.
    twice: list | None = None
    # Of a server: makes it work, and stop.
    drive: Callable | None = None
    # Where the variants that trace everything are measured too.
    trace_all: bool = False
    # Preloaded into the plain run: the allocator that the recorder passes allocations on to.
    plain: str | None = None

    def environment(self, runs, variant, interval_bytes=1):
        own = self.plain if variant.name == "plain" else "" if variant.is_ours and self.recorded else None
        return runs.environment(variant, interval_bytes, own)

    def command(self, what, variant):
        if variant.is_ours and self.recorded:
            return self.recorded[0 if what == "counted" else 1]
        return self.counted if what == "counted" else self.timed


def program(name):
    return os.path.join(HERE, "programs", name)


def build(work):
    """Compiles into `work`; Rust goes where cargo wants it."""
    for source, compiler in [("slots.c", "gcc"), ("handoff.c", "gcc"), ("fresh.c", "gcc"), ("cppmix.cc", "g++")]:
        out = os.path.join(work, source.split(".")[0])
        subprocess.run([compiler, "-O2", "-g", "-pthread", program(source), "-o", out], check=True)
    measure = [program("measure.c"), "-o", os.path.join(work, "measure")]
    subprocess.run(["gcc", "-O2", "-static", *measure], check=True)
    cargo = ["cargo", "build", "--quiet", "-p", "heapql-sampler", "--examples", "--profile", "preload"]
    subprocess.run(cargo, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "preload", "examples")


def workloads(work, examples, glibc):
    slots, handoff, fresh, cppmix = (os.path.join(work, name) for name in ("slots", "handoff", "fresh", "cppmix"))
    plain, recorded = (os.path.join(examples, name) for name in ("rustmix", "rustmix_recorded"))
    # Not python3 of the PATH, which may be a shim that starts other programs.
    python, objects = "/usr/bin/python3", program("objects.py")
    tables = ["sqlite3", ":memory:"]
    read = f".read {program('tables.sql')}"
    sized = lambda rows: [*tables, f"CREATE TEMP TABLE size AS SELECT {rows} AS rows", read]
    compile = lambda *flags: ["g++", *flags, "-c", program("cppmix.cc"), "-o", "/dev/null"]
    path = os.path.join(work, "redis")
    redis = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--hz", "1", "--dir", work]
    return [
        Workload("slots", [slots, "400000"], [slots, "6000000"], twice=[slots, "6000000", "0", "2"], trace_all=True),
        Workload("deep", [slots, "400000", "32"], [slots, "6000000", "32"], twice=[slots, "6000000", "32", "2"],
                 trace_all=True),
        Workload("calloc", [slots, "400000", "0", "1", "calloc"], [slots, "5000000", "0", "1", "calloc"],
                 twice=[slots, "5000000", "0", "2", "calloc"]),
        Workload("realloc", [slots, "400000", "0", "1", "realloc"], [slots, "5000000", "0", "1", "realloc"],
                 twice=[slots, "5000000", "0", "2", "realloc"]),
        Workload("handoff", [handoff, "400"], [handoff, "6000"], twice=[handoff, "6000", "2"]),
        Workload("fresh", [fresh, "65536"], None),
        Workload("cppmix", [cppmix, "8"], [cppmix, "60"], trace_all=True),
        Workload("rust", [plain, "20"], [plain, "120"], recorded=([recorded, "20"], [recorded, "120"])),
        Workload("python", [python, objects, "60"], [python, objects, "1200"], trace_all=True),
        Workload("perl", ["perl", program("words.pl"), "10"], ["perl", program("words.pl"), "70"]),
        Workload("ruby", ["ruby", program("words.rb"), "10"], ["ruby", program("words.rb"), "60"]),
        Workload("sqlite", sized(4000), sized(60000)),
        Workload("g++", compile("-fsyntax-only"), compile("-O1")),
        Workload("redis", redis, redis, drive=lambda what: serve_redis(path, 30 if what == "counted" else 300),
                 plain=glibc),
    ]


def serve_redis(path, rounds):
    """A fixed stream of commands, 1000 at a time, then SHUTDOWN."""
    for _ in range(600):
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(path)
            break
        except OSError:
            time.sleep(0.05)
    else:
        raise TimeoutError(f"no redis at {path}")
    replies = connection.makefile("rb")
    for number in range(rounds):
        lines = []
        for i in range(200):
            key = f"{number * 7919 % 50}:{i}"
            lines += [f"SET s{key} {'x' * (16 + i * 5)}", f"APPEND s{key} {'y' * i}", f"HSET h{key} f{number} {i} g {i}",
                      f"RPUSH l{key} element{number} another{i}", f"DEL s{number * 104729 % 50}:{i}"]
        connection.sendall(("\r\n".join(lines) + f"\r\nECHO end{number}\r\n").encode())
        while replies.readline() != f"end{number}\r\n".encode():
            pass
    connection.sendall(b"SHUTDOWN NOSAVE\r\n")
    replies.read()
    connection.close()


def versions():
    """What was measured, in words."""
    asked = [["gcc", "-dumpfullversion"], ["rustc", "--version"], ["/usr/bin/python3", "--version"],
             ["perl", "-e", "print $^V"], ["ruby", "-e", "print RUBY_VERSION"], ["sqlite3", "--version"], ["redis-server", "--version"],
             ["valgrind", "--version"]]
    said = {}
    for command in asked:
        if shutil.which(command[0]):
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            name = os.path.basename(command[0])
            said[name] = next((word for word in out if any(c.isdigit() for c in word)), out[0])
    return said
