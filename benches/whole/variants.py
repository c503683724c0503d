"""How a program is run: plain, recorded in each mode, or under a peer. Not a measurement: `run.py` takes those.

The peers are Debian's packages libjemalloc2, libgoogle-perftools4 and heaptrack.
"""
import glob
import math
import os
import struct
from dataclasses import dataclass, field

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
JEMALLOC = f"{LIBRARIES}/libjemalloc.so.2"
TCMALLOC = f"{LIBRARIES}/libtcmalloc.so.4"
HEAPTRACK = "/usr/lib/heaptrack/libheaptrack_preload.so"
GLIBC = f"{LIBRARIES}/libc.so.6"
# gperftools 2.10 reads its sampling parameter after the main thread has drawn its first gap: 16 MiB.
TCMALLOC_SKIPS = 16 << 20
# Allocations between two samples of the default mode, 16..256, on average.
MEAN_GAP = 136


@dataclass(frozen=True)
class Variant:
    name: str
    # What is preloaded, if anything; None for the recorder.
    library: str | None
    # The variant without sampling that a sample's cost is measured against.
    base: str | None = None
    settings: dict = field(default_factory=dict, hash=False)
    # Traces every allocation: measured on few workloads, and briefly.
    traces_all: bool = False
    # heaptrack 1.4 records nothing under valgrind.
    is_countable: bool = True

    @property
    def is_ours(self):
        return self.library is None

    def samples(self, allocations, total_bytes):
        """How many this peer takes, on average."""
        gap = interval(allocations, total_bytes)
        if self.traces_all:
            return allocations
        if self.library == JEMALLOC:
            return round(total_bytes / 2 ** lg(gap))
        return round(max(0, total_bytes - TCMALLOC_SKIPS) / gap)


def _mode(name, least, most):
    return Variant(name, None, None if name == "zero" else "zero", {"HEAPQL_MIN": str(least), "HEAPQL_MAX": str(most)})


PLAIN = Variant("plain", "")
FULL = _mode("full", 1, 1)
DEFAULT = _mode("16..256", 16, 256)
OURS = [_mode("zero", 10000, 10000), DEFAULT, _mode("1..16", 1, 16), FULL]
# {interval}: bytes between two samples, so that about as many are taken as in the default mode; {lg}: as a power of two.
PEERS = [
    Variant("jemalloc", JEMALLOC),
    Variant("jemalloc sampling", JEMALLOC, "jemalloc",
            {"MALLOC_CONF": "prof:true,prof_active:true,lg_prof_sample:{lg}"}),
    Variant("tcmalloc", TCMALLOC, None, {"TCMALLOC_SAMPLE_PARAMETER": "0"}),
    Variant("tcmalloc sampling", TCMALLOC, "tcmalloc", {"TCMALLOC_SAMPLE_PARAMETER": "{interval}"}),
    Variant("tcmalloc HEAPPROFILE", TCMALLOC, "tcmalloc",
            {"HEAPPROFILE": "{work}/profile", "HEAP_PROFILE_ALLOCATION_INTERVAL": "0",
             "HEAP_PROFILE_INUSE_INTERVAL": "0", "TCMALLOC_SAMPLE_PARAMETER": "0"}, traces_all=True),
    Variant("heaptrack", HEAPTRACK, "plain", {"DUMP_HEAPTRACK_OUTPUT": "{work}/trace.$$"}, traces_all=True,
            is_countable=False),
]


def interval(allocations, total_bytes):
    return round(MEAN_GAP * total_bytes / allocations)


def lg(interval_bytes):
    """The nearest power of two, by ratio."""
    return round(math.log2(interval_bytes))


class Runs:
    """The places that runs write to, and what the ledgers among them say."""

    def __init__(self, library, work, ledgers):
        self.library, self.work, self.ledgers = library, work, ledgers

    def environment(self, variant, interval_bytes=1, own=None):
        """`own`: what is preloaded in place of the recorder (nothing where the program has its own), or into a plain run."""
        # Python's own allocator would hide nearly all of its allocations; random seeds would hide small differences.
        env = {**os.environ, "PYTHONMALLOC": "malloc", "LC_ALL": "C", "PYTHONHASHSEED": "0", "PERL_HASH_SEED": "0"}
        for name, value in variant.settings.items():
            env[name] = value.format(interval=interval_bytes, lg=lg(interval_bytes), work=self.work)
        if variant.is_ours:
            env["HEAPQL_DIR"] = self.ledgers
            # The rare workload with very many stacks shall not be measured with a full ledger.
            env["HEAPQL_LEDGER_BYTES"] = str(256 << 20)
        library = self.library if variant.is_ours else variant.library
        library = library if own is None else own
        if library:
            env["LD_PRELOAD"] = library
        return env

    def take_samples(self):
        """Samples and their bytes in all ledgers, which are removed."""
        count = total = 0
        for path in glob.glob(os.path.join(self.ledgers, "*.heapql")):
            with open(path, "rb") as file:
                ledger = file.read()
            os.unlink(path)
            one = samples(ledger)
            count, total = count + one[0], total + one[1]
        return count, total


def samples(ledger):
    """Sums over the callsites of a ledger; see crates/ledger/src/layout.rs."""
    magic, version = struct.unpack_from("<8sI", ledger, 0)
    assert magic == b"HEAPQL\x1a\n" and version == 2, "the layout has changed: this reader has to follow"
    (capacity,) = struct.unpack_from("<I", ledger, 56)
    count = total = 0
    for at in range(69632, 69632 + 64 * capacity, 64):
        (ready,) = struct.unpack_from("<H", ledger, at + 54)
        if not ready:
            break
        more = struct.unpack_from("<QQ", ledger, at + 16)
        count, total = count + more[0], total + more[1]
    return count, total
