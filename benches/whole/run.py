#!/usr/bin/env python3
"""Whole programs, plain and recorded, side by side: ratios of instructions, CPU time and peak memory.

Instructions are user instructions under callgrind (no noise, but one thread at a time and no kernel). CPU time is user and
system time, the median ratio of interleaved pairs. Peak memory is ru_maxrss of the same runs. Needs gcc, g++, valgrind and
a built heapql; prints CSV, to be committed as results.csv.

    cargo build --release --workspace --bin heapql && benches/whole/run.py target/release/heapql > benches/whole/results.csv
"""
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = [("zero", 10000, 10000), ("16..256", 16, 256), ("1..16", 1, 16), ("full", 1, 1)]
PAIRS = 7
PYTHON = """
import json
kept = []
for i in range({rounds}):
    kept.append(json.dumps([{{'a': j, 'b': str(j)}} for j in range(100)]))
    json.loads(kept[-1])
"""


def build(directory):
    for source, compiler in [("slots.c", "gcc"), ("cppmix.cc", "g++")]:
        path = os.path.join(HERE, "programs", source)
        out = os.path.join(directory, source.split(".")[0])
        subprocess.run([compiler, "-O2", "-g", "-pthread", path, "-o", out], check=True)
    slots, cppmix = (os.path.join(directory, name) for name in ("slots", "cppmix"))
    python = subprocess.run([sys.executable, "-c", "import sys; print(sys.executable)"], check=True, capture_output=True)
    python = os.path.realpath(python.stdout.decode().strip())
    # name, command for callgrind, command for the clock
    return [
        ("slots", [slots, "200000"], [slots, "6000000"]),
        ("deep", [slots, "200000", "32"], [slots, "6000000", "32"]),
        ("cppmix", [cppmix, "4"], [cppmix, "100"]),
        ("python", [python, "-c", PYTHON.format(rounds=60)], [python, "-c", PYTHON.format(rounds=3000)]),
        ("two threads", None, [slots, "4000000", "0", "2"]),
    ]


def preload(heapql, directory):
    """The library that `heapql env` unpacks."""
    text = subprocess.run([heapql, "env"], check=True, capture_output=True, env={**os.environ, "HEAPQL_DIR": directory})
    return re.search(r"LD_PRELOAD='?([^'\n;]+)", text.stdout.decode()).group(1)


def environment(library, directory, mode):
    # Python's own allocator would hide nearly all of its allocations.
    plain = {**os.environ, "PYTHONMALLOC": "malloc"}
    if mode is None:
        return plain
    _, least, most = mode
    return {**plain, "LD_PRELOAD": library, "HEAPQL_DIR": directory, "HEAPQL_MIN": str(least), "HEAPQL_MAX": str(most)}


def forget(directory):
    for name in os.listdir(directory):
        if name.endswith(".heapql"):
            os.unlink(os.path.join(directory, name))


def instructions(command, env):
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    ran = subprocess.run(tool + command, env=env, check=True, capture_output=True)
    return int(re.search(rb"Collected : (\d+)", ran.stderr).group(1))


def clock(command, env):
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, (command, status)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main():
    heapql = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp()
    directory = tempfile.mkdtemp(dir="/dev/shm")
    library = preload(heapql, directory)
    print(f"# {platform.machine()}, Linux {platform.release().split('-')[0]}, {os.cpu_count()} cores, {platform.libc_ver()[1]}")
    print("workload,mode,instructions,cpu_time,peak_rss")
    for name, counted, timed in build(work):
        base = instructions(counted, environment(library, directory, None)) if counted else None
        for mode in MODES:
            env = environment(library, directory, mode)
            ratio = ""
            if counted:
                ratio = f"{instructions(counted, env) / base:.3f}"
            cpu, rss = [], []
            for _ in range(PAIRS):
                plain = clock(timed, environment(library, directory, None))
                recorded = clock(timed, env)
                cpu.append(recorded[0] / plain[0])
                rss.append(recorded[1] / plain[1])
                forget(directory)
            print(f"{name},{mode[0]},{ratio},{statistics.median(cpu):.3f},{statistics.median(rss):.3f}", flush=True)
    shutil.rmtree(work)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
