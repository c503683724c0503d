#!/usr/bin/env python3
"""Are the stacks right? Captures in whole programs, each compared frame by frame with libgcc's and libunwind's unwinder.

Every program runs twice under the library of `crates/unwind/examples/real_programs`: compared at calls of malloc, calloc,
realloc, free, memcpy, strlen, read and write, where samples are taken; and at any instruction, by a timer's signal, where
they are not. Needs Debian's g++, perl, python3, redis, ruby, sqlite3, libunwind8, for the second part gdb, git, nodejs,
openssl, and rustc; what is not installed is passed over and said so. Writes results.csv and causes.csv beside itself;
exits with 1 if a program of the first part agrees with libgcc in fewer than 99 of 100 captures.

    cargo build -p heapql-unwind --example real_programs && benches/stacks/run.py target/debug/examples/libreal_programs.so
"""
import collections
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "programs")
LEAST = 99.0
COLUMNS = ["program", "at", "captures", "agree_percent", "mean_depth", "deepest", "truncated", "different", "shorter",
           "longer", "asked_libunwind", "libgcc_alone", "libunwind_alone", "we_alone", "known", "misremembered"]
TRUNCATED = ["no_information", "unsupported", "stack_pointer", "return_address", "other_stack", "unknown_stack"]


def source(name):
    return os.path.join(PROGRAMS, name)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Workload:
    """A command, and one in how many calls is compared. `required` programs must reach LEAST."""

    def __init__(self, name, command, every, stdin=None, required=True, drive=None):
        self.name, self.command, self.every, self.stdin = name, command, every, stdin
        self.required, self.drive = required, drive


def redis(port):
    def drive():
        for _ in range(100):
            if subprocess.run(["redis-cli", "-p", port, "ping"], capture_output=True).stdout == b"PONG\n":
                break
            time.sleep(0.05)
        subprocess.run(["redis-benchmark", "-p", port, "-n", "3000", "-q", "-d", "300"], stdout=subprocess.DEVNULL)
        script = "for i = 1, 3000 do redis.call('zadd', 'z', i, 'm' .. i); redis.call('sort', 'mylist', 'limit', 0, 5) end"
        for command in [["eval", script, "0"], ["debug", "jmap"], ["info", "all"], ["bgrewriteaof"], ["flushall", "async"],
                        ["shutdown", "nosave"]]:
            subprocess.run(["redis-cli", "-p", port, *command], capture_output=True)
    return drive


def rust(directory, *flags):
    program = os.path.join(directory, "words" + str(len(flags)))
    subprocess.run(["rustc", "--edition", "2024", "-O", *flags, source("words.rs"), "-o", program], check=True)
    return program


def workloads(directory):
    python = "/usr/bin/python3"
    compiler = output("g++", "-print-prog-name=cc1plus")
    preprocessed = os.path.join(directory, "heavy.ii")
    subprocess.run(["g++", "-E", source("heavy.cc"), "-o", preprocessed], check=True)
    compile_cpp = [compiler, "-quiet", "-O2", "-fpreprocessed", preprocessed, "-o", os.path.join(directory, "heavy.s")]
    yield Workload("python3", [python, source("objects.py"), "3"], 97)
    yield Workload("sqlite3", ["sqlite3", ":memory:"], 301, stdin=source("tables.sql"))
    port = str(20000 + os.getpid() % 10000)
    yield Workload("redis-server", ["redis-server", "--save", "", "--port", port, "--io-threads", "2"], 997, drive=redis(port))
    yield Workload("cc1plus", compile_cpp, 1999)
    yield Workload("perl", ["perl", source("words.pl"), "40"], 997)
    yield Workload("ruby", ["ruby", source("words.rb"), "8"], 97)
    if not shutil.which("rustc"):
        return
    sysroot = output("rustc", "--print", "sysroot")
    yield Workload("rust release", [rust(directory), "300"], 397)
    yield Workload("rust release, LTO", [rust(directory, "-Clto=fat", "-Cpanic=abort"), "300"], 397)
    compile_rust = [os.path.join(sysroot, "bin/rustc"), "--edition", "2024", "-O", "--emit=obj", source("words.rs"), "-o",
                    os.path.join(directory, "words.o")]
    yield Workload("rustc", compile_rust, 1999)
    yield Workload("ruby --jit", ["ruby", "--yjit", "--yjit-call-threshold=2", source("words.rb"), "8"], 97, required=False)
    yield Workload("bash", ["bash", "-c", "for i in {1..20}; do x=$(echo $((i * 7))); y=${x//1/2}; [[ $y =~ ^2+ ]]; done"],
                   5, required=False)
    yield Workload("git", ["git", "-C", HERE, "--no-pager", "log", "--stat", "-p", "-n", "40"], 37, required=False)
    yield Workload("openssl", ["openssl", "speed", "-seconds", "1", "sha512", "rsa2048", "ecdsap256", "md5"], 97,
                   required=False)
    yield Workload("gdb", ["gdb", "-batch", "-ex", "info functions PyList", "-ex", "disassemble Py_Main", python], 499,
                   required=False)
    yield Workload("node", ["node", source("work.js"), "300"], 997, required=False)


def run(workload, library, directory, mode):
    """The counts of all its processes, and its causes."""
    report = os.path.join(directory, "report")
    if os.path.exists(report):
        os.unlink(report)
    how = {"HEAPQL_UNWIND_EVERY": str(workload.every)} if mode == "calls" else {"HEAPQL_UNWIND_MICROSECONDS": "200"}
    if mode == "calls" and shutil.which("ldconfig", path="/sbin:/usr/sbin") and "libunwind.so.8" in output("/sbin/ldconfig", "-p"):
        how["HEAPQL_UNWIND_SECOND"] = "libunwind.so.8"
    env = {**os.environ, **how, "LD_PRELOAD": library, "HEAPQL_UNWIND_REPORT": report, "PYTHONMALLOC": "malloc"}
    stdin = open(workload.stdin) if workload.stdin else subprocess.DEVNULL
    process = subprocess.Popen(workload.command, env=env, stdin=stdin, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, cwd=directory)
    if workload.drive:
        workload.drive()
    status = process.wait(timeout=600)
    assert status == 0, (workload.name, status)
    counts, causes = collections.Counter(), collections.Counter()
    with open(report) as lines:
        for line in lines:
            kind, *words = line.split()
            if kind == "counts":
                for word in words:
                    name, count = word.split("=")
                    counts[name] = max(counts[name], int(count)) if name == "deepest" else counts[name] + int(count)
            else:
                causes[tuple(words[1:])] += int(words[0])
    return counts, causes


def main():
    library = os.path.abspath(sys.argv[1])
    only = sys.argv[2:]
    failed = []
    with tempfile.TemporaryDirectory() as directory, open(os.path.join(HERE, "results.csv"), "w", newline="") as results, \
            open(os.path.join(HERE, "causes.csv"), "w", newline="") as listed:
        rows, causes_rows = csv.writer(results), csv.writer(listed)
        rows.writerow(COLUMNS)
        causes_rows.writerow(["program", "at", "captures", "kind", "our_end", "last_common_frame", "ours", "theirs"])
        for workload in workloads(directory):
            if only and workload.name not in only:
                continue
            if not shutil.which(workload.command[0]):
                print(f"{workload.name}: not installed", file=sys.stderr)
                continue
            for mode in ["calls", "signals"]:
                counts, causes = run(workload, library, directory, mode)
                compared = counts["compared"]
                wrong = counts["different"] + counts["shorter"] + counts["longer"]
                percent = 100 * (compared - wrong) / max(compared, 1)
                if workload.required and (percent < LEAST or compared < 100):
                    failed.append(f"{workload.name}, {mode}: {percent:.2f}% of {compared}")
                row = [workload.name, mode, compared, f"{percent:.2f}", f"{counts['frames'] / max(compared, 1):.1f}",
                       counts["deepest"], sum(counts[name] for name in TRUNCATED), counts["different"], counts["shorter"],
                       counts["longer"], counts["second"], counts["libgcc_alone"], counts["libunwind_alone"],
                       counts["alone"], counts["known"], counts["misremembered"]]
                rows.writerow(row)
                print(*row, file=sys.stderr, flush=True)
                for (kind, end, _, *rest), count in causes.most_common(12):
                    ours, theirs = rest.index("ours"), rest.index("theirs")
                    places = [rest[:ours], rest[ours + 1 : theirs], rest[theirs + 1 :]]
                    causes_rows.writerow([workload.name, mode, count, kind, end, *map(" ".join, places)])
    print(*failed, sep="\n", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
