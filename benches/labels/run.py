#!/usr/bin/env python3
"""The price of a scope: instructions and nanoseconds to enter and leave one, in Rust, C and Python.

Instructions are those under callgrind of 2N scopes less those of N, so that start-up drops out, less the bare loop's.
Nanoseconds are the best of some runs, each of a few milliseconds so that one of them is not interrupted, less the bare
loop's: on a shared machine they say the order of magnitude, no more.
Needs gcc, valgrind and cargo; prints CSV, to be committed as results.csv.

    benches/labels/run.py LIBRARY > benches/labels/results.csv      # libheapql_preload.so, which `heapql env` unpacks
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RUNS = 25
# name, bare loop: what each program is asked to do.
RUST = [
    ("static", "loop"),
    ("run time, 1", "loop"),
    ("run time, 50", "loop"),
    ("run time, 500", "loop"),
    ("run time, too many", "loop"),
    ("poll in scope", "poll"),
]
C = [("enter", "loop"), ("push", "loop")]
PYTHON = [("with", "loop"), ("decorator", "loop"), ("step in scope", "step")]


def environment(directory, library):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HEAPQL_", "LD_PRELOAD"))}
    env["HEAPQL_DIR"] = directory
    env["PYTHONPATH"] = os.path.join(ROOT, "python")
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["PYTHONHASHSEED"] = "0"
    if library:
        env["LD_PRELOAD"] = library
    return env


def instructions(command, count, env):
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    ran = subprocess.run(tool + command + [str(count)], env=env, check=True, capture_output=True)
    return int(re.search(rb"Collected : (\d+)", ran.stderr).group(1))


def per_scope(command, count, env):
    return (instructions(command, 2 * count, env) - instructions(command, count, env)) / count


def nanoseconds(command, count, env):
    runs = (subprocess.run(command + [str(count)], env=env, check=True, capture_output=True) for _ in range(RUNS))
    return min(float(run.stdout) for run in runs)


def measure(language, program, cases, counted, timed, env, recorded):
    bare = {}
    for what, loop in cases:
        for name in (loop, what):
            if name not in bare:
                command = program + [name]
                bare[name] = per_scope(command, counted, env), nanoseconds(command, timed, env)
        cost, time = (of - base for of, base in zip(bare[what], bare[loop]))
        print(f"{language},\"{what}\",{recorded},{cost:.0f},{time:.1f}", flush=True)


def main():
    library = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp()
    ledgers = tempfile.mkdtemp(dir="/dev/shm")
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(work, "target"))
    cargo = ["cargo", "build", "--quiet", "--release", "-p", "heapql-sampler", "--example", "label-price"]
    subprocess.run(cargo, cwd=ROOT, check=True, env={**os.environ, "CARGO_TARGET_DIR": target})
    rust = os.path.join(target, "release", "examples", "label-price")
    c = os.path.join(work, "price")
    include = "-I" + os.path.join(ROOT, "include")
    subprocess.run(["gcc", "-O2", include, os.path.join(HERE, "price.c"), "-o", c], check=True)
    python = [os.path.realpath(sys.executable), os.path.join(HERE, "price.py")]
    print("language,scope,recorded by,instructions,nanoseconds")
    for recorded in ("itself", "preload"):
        env = environment(ledgers, library if recorded == "preload" else None)
        measure("rust", [rust], RUST, 20_000, 100_000, env, recorded)
    for recorded in ("nobody", "preload"):
        env = environment(ledgers, library if recorded == "preload" else None)
        measure("c", [c], C, 20_000, 100_000, env, recorded)
        measure("python", python, PYTHON, 20_000, 2_000, env, recorded)
    shutil.rmtree(work)
    shutil.rmtree(ledgers)


if __name__ == "__main__":
    main()
