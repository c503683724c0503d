"""The suites that run.py runs: how each is prepared, started and read.

A suite answers {"unit: test": "pass" | "fail" | "skip"}; a unit is what it can run alone. Nothing here knows about
recording: the environment says it all. Imported by run.py.
"""
import os
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).parent
HOURS = 3600
JOBS = "2"


def install(*packages):
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    known = subprocess.run(["dpkg-query", "-W", "-f=${db:Status-Abbrev}\n", *packages], capture_output=True, text=True)
    if known.returncode or any(not line.startswith("ii") for line in known.stdout.splitlines()):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def installed_version(package):
    return subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True).stdout


def source(package, work):
    """The unpacked source of a Debian package. Lists of sources are fetched into `work`, from the system's own mirrors;
    security archives are left out, since mirrors do not keep all their sources."""
    home = work / "source" / package
    if not home.exists():
        install("dpkg-dev")
        parts = work / "apt" / "parts"
        for directory in (parts, work / "apt" / "lists" / "partial", work / "apt" / "archives" / "partial"):
            directory.mkdir(parents=True, exist_ok=True)
        for file in pathlib.Path("/etc/apt").glob("sources.list*/debian*"):
            text = re.sub(r"^Types:.*", "Types: deb-src", file.read_text(), flags=re.M)
            stanzas = [part for part in text.split("\n\n") if "security" not in part]
            (parts / file.name).write_text("\n\n".join(stanzas))
        main = pathlib.Path("/etc/apt/sources.list")
        lines = main.read_text().splitlines() if main.exists() else []
        lines = [re.sub("^deb ", "deb-src ", line) for line in lines if line.startswith("deb ") and "security" not in line]
        (work / "apt" / "main.list").write_text("\n".join(lines) + "\n")
        config = work / "apt" / "apt.conf"
        config.write_text(
            f'Dir::Etc::sourcelist "{work}/apt/main.list"; Dir::Etc::sourceparts "{parts}"; '
            f'Dir::State::Lists "{work}/apt/lists"; Dir::Cache "{work}/apt"; APT::Sandbox::User "root";\n'
        )
        env = {**os.environ, "APT_CONFIG": str(config)}
        fresh = work / "source" / f"{package}.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=env)
        subprocess.run(["apt-get", "source", "-qq", package], check=True, env=env, cwd=fresh, stdout=subprocess.DEVNULL)
        fresh.rename(home)
    return next(path for path in home.iterdir() if path.is_dir())


def shell(command, cwd, env=None, hours=1):
    """The output, however it ends."""
    log = pathlib.Path(cwd) / "suite.log"
    with log.open("wb") as out:
        subprocess.run(["nice", "bash", "-c", command], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=hours * HOURS)
    return log.read_text(errors="replace")


def fresh_copy(of, into):
    shutil.rmtree(into, ignore_errors=True)
    subprocess.run(["cp", "-a", of, into], check=True)
    return into


class Suite:
    name = package = ""
    packages = ()
    #: Who runs it, if not the one who runs this.
    user = None

    def prepare(self, work):
        install(*self.packages)

    def version(self):
        return installed_version(self.package)


class Programs(Suite):
    """programs.sh: a test passes if it prints what it printed first, which was without the recorder."""

    name = "programs"
    packages = tuple("git g++ gdb strace cmake tmux vim openssl curl sqlite3 nodejs default-jdk-headless perl ruby memcached nginx-light redis-server postgresql postgresql-contrib mariadb-server-core mariadb-client libglib2.0-bin xz-utils bzip2".split())
    only = None

    def __init__(self):
        self.printed = {}

    def prepare(self, work):
        if self.only is None:
            # Node may come from elsewhere than Debian.
            install(*(p for p in self.packages if p != "nodejs" or not shutil.which("node")))

    def version(self):
        return f"{len(self.printed)} programs of Debian"

    def run(self, work, env, units):
        listed = subprocess.run(["bash", HERE / "programs.sh"], capture_output=True, text=True, check=True).stdout.split()
        outcomes = {}
        for unit in units or self.only or listed:
            place = work / "programs"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            try:
                ran = subprocess.run(["nice", "bash", HERE / "programs.sh", unit], cwd=place, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
                printed = (ran.returncode, ran.stdout)
            except subprocess.TimeoutExpired:
                printed = "no end"
            same = printed == self.printed.setdefault(unit, printed)
            outcomes[unit] = "pass" if same and printed != "no end" else "fail"
        return outcomes


class Quick(Programs):
    name = "quick"
    only = ["sort", "text", "archives", "gcc", "sqlite", "perl", "python"]


class CPython(Suite):
    name = package = "cpython"
    package = "libpython3.11-testsuite"
    packages = (package, "python3.11", "gdb")
    modules = """array ast asyncio atexit audit bdb buffer bytes bz2 call class cmd_line cmd_line_script code codecs
        collections compile complex concurrent_futures configparser contextlib coroutines csv ctypes dataclasses datetime
        dbm decimal deque descr dict doctest eintr email embed enum epoll exception_group exceptions faulthandler fcntl
        finalization float fork1 frame ftplib functools gc generators glob grammar hashlib heapq hmac httplib httpservers
        imaplib import importlib inspect int interpreters io itertools json list locale logging long lzma math memoryio
        memoryview minidom mmap multiprocessing_fork multiprocessing_forkserver multiprocessing_main_handling
        multiprocessing_spawn openpty os pathlib pdb pickle poll poplib posix posix_spawn pty pyexpat queue random re
        readline repl resource runpy sax select selectors set shelve shutil signal site smtplib socket sqlite3 ssl
        statistics struct subprocess sys sys_settrace sysconfig syslog tarfile tempfile thread threading threading_local
        threadsignals time traceback tracemalloc typing unicode unicodedata unittest urllib venv wait3 wait4 weakref
        xml_etree_c zipfile zipimport zlib zoneinfo""".split()

    def run(self, work, env, units):
        place = work / "cpython"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        names = units or [f"test_{name}" for name in self.modules]
        # The vsock test waits for ever on hosts that have vsock without a peer.
        shell(f"/usr/bin/python3.11 -m test -j{JOBS} --timeout 900 -i '*VSOCKSocketStream*' --junit-xml x.xml {' '.join(names)}", place, env, 2)
        outcomes = {}
        for case in xml.parse(place / "x.xml").iter("testcase"):
            kinds = {child.tag for child in case}
            # "test.test_json.test_scanner.TestX.test_y"
            path = case.get("name", "")
            unit = next((part for part in path.split(".") if part.startswith("test_") and part in names), path)
            outcomes[f"{unit}: {path}"] = "fail" if kinds & {"failure", "error"} else "skip" if "skipped" in kinds else "pass"
        return outcomes


class Perl(Suite):
    """perl's core tests, run by Debian's perl: the tests find it, and its library, where a build would be."""

    name = package = "perl"
    packages = ("perl",)
    directories = "base cmd comp io re uni op mro class".split()

    def prepare(self, work):
        super().prepare(work)
        place = work / "perl"
        if place.exists():
            return
        tests = source("perl", work) / "t"
        place.mkdir()
        for library in subprocess.run(["perl", "-e", "print join qq(\n), grep -d, reverse @INC"], capture_output=True, text=True, check=True).stdout.split("\n"):
            if library.startswith("/usr/share/perl/") or library.startswith("/usr/lib/") and "perl5" not in library:
                shutil.copytree(library, place / "lib", dirs_exist_ok=True)
        shutil.copytree(tests, place / "t", symlinks=True)
        for link in (place / "perl", place / "t" / "perl"):
            link.unlink(missing_ok=True)
            link.symlink_to("/usr/bin/perl")

    def run(self, work, env, units):
        tests = work / "perl" / "t"
        all_units = [str(test.relative_to(tests)) for d in self.directories for test in sorted((tests / d).glob("*.t"))]
        # A million properties of characters: minutes each, and nothing of their own about memory.
        names = " ".join(units or [unit for unit in all_units if "uniprops" not in unit])
        text = shell(f"prove -j{JOBS} -e ./perl {names}", work / "perl" / "t", env)
        outcomes = {}
        for test, how in re.findall(r"^(\S+\.t) \.+ *(.*)$", text, re.M):
            outcomes[test] = "pass" if how.startswith("ok") else "skip" if how.startswith("skipped") else "fail"
        return outcomes


class Ruby(Suite):
    name = "ruby"
    package = "ruby3.1"
    packages = ("ruby3.1", "ruby3.1-dev", "gcc")
    files = "array gc gc_compact hash string symbol thread thread_queue fiber io process signal proc method exception backtrace enumerator marshal module object objectspace pack range refinement regexp rand sprintf struct time trace_point weakmap".split()

    def prepare(self, work):
        super().prepare(work)
        self.place = source("ruby3.1", work)

    def run(self, work, env, units):
        names = units or [f"ruby/test_{name}.rb" for name in self.files if (self.place / "test" / "ruby" / f"test_{name}.rb").exists()]
        outcomes = {}
        for name in names:
            text = shell(f"ruby3.1 -W0 test/runner.rb -v {name}", self.place, env)
            for test, how in re.findall(r"^\s*(?:\[ *\d+/\d+\] )?(\S+#test_\S+) = [\d.]+ s = ([.FES])", text, re.M):
                outcomes[f"{name}: {test}"] = {".": "pass", "S": "skip"}.get(how, "fail")
        return outcomes


class Coreutils(Suite):
    """Built from Debian's source."""

    name = package = "coreutils"
    packages = ("gcc", "make", "perl")

    def prepare(self, work):
        super().prepare(work)
        self.place = source("coreutils", work)
        if not (self.place / "src" / "sort").exists():
            shell(f"FORCE_UNSAFE_CONFIGURE=1 ./configure -q && make -s -j{JOBS}", self.place)

    def run(self, work, env, units):
        chosen = f"TESTS='{' '.join(units)}'" if units else ""
        shell("find tests -name '*.log' -delete; find tests -name '*.trs' -delete", self.place)
        text = shell(f"make -j{JOBS} check SUBDIRS=. {chosen}", self.place, env, 2)
        return {test: how.lower() for how, test in re.findall(r"^(PASS|FAIL|SKIP): (\S+\.(?:sh|pl))$", text, re.M)}


class Redis(Suite):
    """Built from Debian's source without jemalloc, so that its own tests meet malloc_usable_size."""

    name = "redis"
    package = "redis-server"
    packages = ("tcl", "gcc", "make", package)
    units = ["dump", "type/string", "type/list", "type/hash", "type/zset", "type/set", "type/stream", "expire", "other", "multi", "scripting", "functions", "sort", "scan", "info", "aofrw", "maxmemory", "memefficiency", "lazyfree", "bitops", "obuf-limits", "client-eviction", "acl", "tracking", "geo", "hyperloglog", "pubsub", "querybuf"]
    integration = ["aof", "rdb", "redis-cli", "logging", "shutdown", "dismiss-mem", "corrupt-dump"]

    def prepare(self, work):
        super().prepare(work)
        self.place = source("redis", work)
        if not (self.place / "src" / "redis-server").exists():
            shell(f"make -j{JOBS} MALLOC=libc", self.place)

    def run(self, work, env, units):
        place = fresh_copy(self.place, work / "redis")
        names = units or [f"unit/{name}" for name in self.units] + [f"integration/{name}" for name in self.integration]
        outcomes = {}
        for name in names:
            text = shell(f"./runtest --clients 1 --tags -largemem --single {name}", place, env)
            text = re.sub(r"\x1b\[[0-9;]*m", "", text)
            for how, test in re.findall(r"^\[(ok|err)\]: (.*?)(?: \(\d+ ms\)| in tests/\S+)?$", text, re.M):
                outcomes[f"{name}: {test}"] = "pass" if how == "ok" else "fail"
            outcomes[f"{name}: as a whole"] = "fail" if "exception]" in text or "crashed" in text else "pass"
        return outcomes


class Postgres(Suite):
    """pg_regress with Debian's server, which it starts itself; the server forks for each of its connections."""

    name = "postgresql"
    package = "postgresql-15"
    packages = (package, "postgresql-server-dev-15", "make", "gcc")
    user = "postgres"

    def prepare(self, work):
        super().prepare(work)
        self.place = work / "regress"
        if not self.place.exists():
            shutil.copytree(source(self.package, work) / "src" / "test" / "regress", self.place)
            shell("p=$(pg_config --pgxs); make -f $p PGXS=$p PG_CONFIG=pg_config MODULES=regress with_llvm=no regress.so", self.place)

    def run(self, work, env, units):
        place = fresh_copy(self.place, work / "postgresql")
        subprocess.run(["chown", "-R", self.user, place], check=True)
        # It must be reached by another user.
        for directory in (work, place):
            directory.chmod(0o755)
        base = "/usr/lib/postgresql/15"
        # One test builds on another, so all are run also when few are asked for.
        text = shell(
            f"runuser -u {self.user} -- {base}/lib/pgxs/src/test/regress/pg_regress --temp-instance={place}/t --bindir={base}/bin "
            "--inputdir=. --outputdir=. --dlpath=. --schedule=parallel_schedule --no-locale --encoding=UTF8 --max-connections=8",
            place, env)
        found = re.findall(r"^(?:test|    ) ?(\S+) +\.\.\. (ok|FAILED)", text, re.M)
        return {test: "pass" if how == "ok" else "fail" for test, how in found}


class Stress(Suite):
    """stress-ng: one unit per stressor, whose own checks must hold. Not brk: it writes below the start of the heap, which
    in full mode has never been used."""

    name = package = "stress-ng"
    packages = (package,)
    stressors = "malloc mmap fork clone vfork sigsegv pthread timer sigq stack bigheap context zombie signest sigfpe mremap skiplist list aio seccomp wcs regs vm-segv sigpipe daemon session dynlib sigabrt sigchld sigsuspend tsearch hsearch".split()

    def run(self, work, env, units):
        outcomes = {}
        for name in units or self.stressors:
            text = shell(f"stress-ng --temp-path . --verify --{name} 2 -t 4 --metrics-brief", work, env)
            good = "successful run completed" in text and not re.search(r"fail:|error:|bogo-op counter", text)
            outcomes[name] = "pass" if good else "fail"
        return outcomes


ALL = [Programs(), CPython(), Perl(), Ruby(), Coreutils(), Redis(), Postgres(), Stress()]
QUICK = Quick()
