#!/usr/bin/env python3
"""Recorded aarch64 programs under qemu's user mode: behaviour, exact counts, and stacks that addr2line can name.

    programs.py SYSROOT LIBRARY DUMP

The library is preloaded into the emulated programs of tests/programs; `dump` (an example of heapql-ledger) prints the
ledgers that they leave behind. Called by run.sh, which sets a limit on address space.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(HERE, "..", "programs")
SYSROOT, LIBRARY, DUMP = sys.argv[1:]
PREFIX = "aarch64-linux-gnu-"
# Kernels for aarch64 are built with pages of 4, 16 or 64 KiB. With other than its own 4 qemu's vector loads fail at the
# end of what ld.so has mapped, so it is a processor without the longer vectors.
PAGES = [4096, 16384, 65536]
PROCESSOR = ["-cpu", "max,sve=off"]
page_bytes = PAGES[0]


def build(directory, source, *flags):
    name = source.split(".")[0] + "".join(flags).replace("=", "_").replace("/", "_").replace("+", "_")
    out = os.path.join(directory, name)
    compiler = PREFIX + ("g++" if source.endswith("pp") else "gcc")
    flags = ["-O2", "-g", "-pthread", *flags, os.path.join(PROGRAMS, source), "-o", out]
    subprocess.run([compiler, *flags], check=True)
    return out


def emulate(command, orders="", **recorder):
    settings = [part for name, value in recorder.items() for part in ("-E", f"{name}={value}")]
    emulator = ["qemu-aarch64", *PROCESSOR, "-p", str(page_bytes), "-L", SYSROOT]
    ran = subprocess.run([*emulator, *settings, *command], input=orders, text=True, capture_output=True, timeout=300)
    return ran.returncode, ran.stdout, ran.stderr


class Ledger:
    def __init__(self, path):
        printed = subprocess.run([DUMP, path], check=True, capture_output=True, text=True).stdout
        lines = [line.split("\t") for line in printed.splitlines()]
        self.losses = {reason: int(count) for kind, reason, count, *_ in lines if kind == "loss" and int(count)}
        self.sites = [(int(count), int(size), frames.split()) for kind, _, count, size, _, _, frames in
                      (line for line in lines if line[0] == "callsite")]

    def of_size(self, size):
        """Count and bytes of the live objects at callsites whose objects all have this size."""
        found = [(count, total) for count, total, _ in self.sites if count and total == count * size]
        return sum(count for count, _ in found), sum(total for _, total in found)


def record(command, least, most, orders=""):
    """What the program did, and the ledgers of all its processes, the first one's first."""
    with tempfile.TemporaryDirectory() as directory:
        ran = emulate(command, orders, LD_PRELOAD=LIBRARY, HEAPQL_DIR=directory, HEAPQL_MIN=least, HEAPQL_MAX=most)
        paths = sorted((os.path.join(directory, name) for name in os.listdir(directory)), key=os.path.getctime)
        return ran, [Ledger(path) for path in paths]


def functions(program, frames):
    """The names of a stack's functions, as far as they are the program's."""
    ours = [frame.rsplit("+", 1) for frame in frames]
    offsets = [hex(int(offset, 16) - 1) for path, offset in ours if os.path.basename(path) in ("", os.path.basename(program))]
    printed = subprocess.run([PREFIX + "addr2line", "-fe", program, *offsets], check=True, capture_output=True, text=True)
    return printed.stdout.splitlines()[::2]


def exact(directory):
    program = build(directory, "exact.c")
    kinds = [("malloc", 1009), ("calloc", 1013), ("realloc", 1019), ("reallocarray", 1021), ("memalign", 1031),
             ("aligned_alloc", 1280), ("valloc", 1033), ("pvalloc", 12288), ("strdup", 1039), ("posix_memalign", 1049)]
    orders = [f"{kind} {100 + nth} {size}" for nth, (kind, size) in enumerate(kinds)]
    orders += [f"free {kind} 40" for kind, _ in kinds]
    (status, _, said), [ledger] = record([program], 1, 1, "\n".join(orders) + "\n")
    assert status == 0, (status, said)
    for nth, (kind, size) in enumerate(kinds):
        if kind == "pvalloc":
            size = -(-size // page_bytes) * page_bytes
        assert ledger.of_size(size) == (60 + nth, (60 + nth) * size), (kind, ledger.of_size(size))
    assert not ledger.losses, ledger.losses
    _, [ledger] = record([program], 1, 1, "malloc 50000 137\nfree malloc 49999\nmalloc 30 2003\ngrow 29 5003\n")
    assert ledger.of_size(5003) == (29, 29 * 5003) and not ledger.losses, (ledger.sites, ledger.losses)


def stacks(directory):
    expected = ["f6", "f5", "f4", "f3", "f2", "f1", "main"]
    for flags in (["-O2"], ["-O0"], ["-O2", "-fomit-frame-pointer"], ["-Os"], ["-O2", "-no-pie"],
                  ["-O2", "-mbranch-protection=standard"], ["-O2", "-fstack-protector-all", "-fstack-clash-protection"]):
        program = build(directory, "stacks.c", *flags)
        (status, said, _), [ledger] = record([program], 1, 1, "\n")
        assert (status, said) == (0, "ready\n"), (status, said)
        [frames] = [frames for count, size, frames in ledger.sites if (count, size) == (300, 300 * 1237)]
        found = functions(program, frames)
        assert found[:7] == expected, (flags, found, frames)
        assert not ledger.losses, (flags, ledger.losses)


def threads(directory):
    for least, most in ((1, 1), (16, 256)):
        (status, _, said), [ledger] = record([build(directory, "threads.c"), "4", "1000", "1009"], least, most, "\n\n\n")
        assert status == 0, (status, said)
        count, _ = ledger.of_size(1009)
        assert count == 2000 if most == 1 else 4 < count < 60, (most, count)
        assert not ledger.losses, ledger.losses


def unchanged(directory):
    """Programs do what they do without a recorder, in every mode; what they leave is a ledger."""
    library = build(directory, "library.c", "-shared", "-fPIC")
    runs = [(build(directory, "rules.c", "-fno-builtin"),), (build(directory, "forks.c"), "20"),
            (build(directory, "storm.c"),), (build(directory, "new.cpp"),), (build(directory, "dlopen.c"), library, "20")]
    for command in runs:
        plain = emulate(command, "\n\n")
        for least, most in ((1, 1), (16, 256), (10000, 10000)):
            recorded, ledgers = record(command, least, most, "\n\n")
            assert recorded == plain, (command, most, plain, recorded)
            assert ledgers, command
            # A signal handler may come when the recorder is in use; rules.c asks for more than there is.
            losses = {reason for ledger in ledgers for reason in ledger.losses} - {"reentrant", "contended", "pool_full"}
            assert not losses, (command, most, [ledger.losses for ledger in ledgers])


def main():
    global page_bytes
    with tempfile.TemporaryDirectory() as directory:
        for page_bytes in PAGES:
            for check in (exact, stacks, threads, unchanged):
                check(directory)
                print(f"{check.__name__}, pages of {page_bytes} bytes: ok", flush=True)


main()
