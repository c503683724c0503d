#!/usr/bin/env bash
# Everyday programs whose output does not depend on the day: run twice, plain and recorded, they print the same. Without
# arguments it lists them; with a name it runs that one in the current, empty directory. Not a benchmark. Called by run.py.
set -u
export LC_ALL=C TZ=UTC GIT_CONFIG_NOSYSTEM=1 HOME="$PWD"

lines() { seq 1 "$1" | awk '{ print ($1 * 7919) % 1000003, "line", $1 }'; }

# A port that was free a moment ago.
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# until_true COMMAND..: for at most 20 s
until_true() { for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "never: $*"; return 1; }

run_sort() { lines 300000 >a; sort --parallel=4 -S 20M a | md5sum; sort -n -k3 -S 1M -T . a | md5sum; sort -R --random-source=a a | wc; }
run_find() { find /usr/share -name '*a*' -printf '%p %s\n' | sort | md5sum; find /usr/lib/python3 -type f -print0 | xargs -0 -P4 -n50 cksum | sort | md5sum; }
run_text() { lines 50000 >a; grep -cE '(1+2|9{2,}).*7$' a; sed -E 's/([0-9]+) line/\1 Zeile/' a | md5sum; awk '{ s[$1 % 97] += $3 } END { for (k in s) print k, s[k] }' a | sort | md5sum; tac a | diff a - | wc -l; tr 0-9 a-j <a | fold -w 30 | md5sum; }
run_archives() { cp -r /usr/share/perl5 d; tar cf - --sort=name --mtime=@0 --owner=0 --group=0 d >t.tar; md5sum <t.tar; gzip -nc t.tar | gzip -dc | md5sum; bzip2 -c t.tar | bzip2 -dc | md5sum; xz -T4 -1 -c --block-size=1MiB t.tar | xz -T4 -dc | md5sum; mkdir x && tar xf t.tar -C x && diff -r d x/d && echo same; }
run_shell() { for i in $(seq 300); do x=$(echo "$i" | (read -r y; echo $((y * y)))); done; echo "$x"; declare -A m; for i in $(seq 5000); do m[$((i % 700))]+=x; done; echo "${#m[@]} ${m[3]}"; coproc cat; echo hello >&"${COPROC[1]}"; read -r z <&"${COPROC[0]}"; echo "$z"; ( trap 'echo term' TERM; kill -TERM "$BASHPID"; ); wait_all=(); for i in 1 2 3; do sleep 0.1 & wait_all+=($!); done; wait "${wait_all[@]}"; echo $?; }
run_git() {
  export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
  git init -q -b main r && cd r || return
  for i in $(seq 40); do lines $((i * 50)) >"f$((i % 7))"; git add -A; git commit -qm "commit $i"; done
  git checkout -q -b side HEAD~20 && echo side >side && git add side && git commit -qm side && git rebase -q main && git log --format='%h %s' | md5sum
  git gc -q --aggressive --prune=now && git fsck --full 2>&1 | tail -1; git repack -adfq --threads=4; git log -p --stat | md5sum; git blame f3 | md5sum; git grep -c '77' | sort; git clone -q --no-local . ../c && git -C ../c rev-parse HEAD; git bundle create -q ../b main && git bundle verify -q ../b && echo verified
}
run_gcc() {
  cat >a.cc <<'C'
#include <iostream>
#include <map>
#include <regex>
#include <string>
int main() { std::map<std::string, int> m; std::regex r("(a+)(b+)"); for (int i = 0; i < 1000; i++) m[std::string(i % 7 + 1, 'a') + "b"] += std::regex_match(std::string(i % 5, 'a') + "b", r); for (auto &[k, v] : m) std::cout << k << v << '\n'; }
C
  printf 'int f(int x) { return x * x; }\n' >b.c; printf 'all: a b.o\na: a.cc\n\tg++ -O2 -std=c++17 -pipe -o a a.cc\nb.o: b.c\n\tgcc -O2 -flto -c b.c\n' >Makefile
  make -s -j2 all && ./a | md5sum; g++ -O2 -std=c++17 -S -o - a.cc | md5sum; objdump -d a | wc -l; nm -C a | wc -l; strip a && ./a | md5sum; gcc -x c -c - <<<'int f( { return' 2>&1 | grep -c error; ar rc l.a b.o && ar t l.a
}
run_gdb() { printf '#include <stdlib.h>\nint g(int x) { return x + 1; }\nint main(void) { for (int i = 0; i < 3; i++) free(malloc((size_t)g(i))); return 3; }\n' >a.c; gcc -g -O0 -o a a.c; gdb -q -batch -ex 'break g' -ex 'set env LD_PRELOAD=' -ex run -ex 'print x' -ex bt -ex continue -ex 'info locals' -ex 'ptype main' -ex 'delete' -ex continue ./a 2>&1 | grep -E '^(\$|#|type|\[Inf|Breakpoint)' | sed -E 's/0x[0-9a-f]+//; s/process [0-9]+//'; }
run_strace() { printf '#include <stdlib.h>\nint main(void) { for (int i = 0; i < 9999; i++) free(malloc(10)); return 7; }\n' >a.c; gcc -o a a.c; strace -f -o s ./a; echo $?; tail -1 s | sed 's/^[0-9]* *//'; }
run_openssl() { openssl genrsa -out k 2048 2>/dev/null; openssl req -x509 -key k -subj /CN=x -days 9 -out c 2>/dev/null; openssl verify -CAfile c c; p=$(port); openssl s_server -accept "127.0.0.1:$p" -key k -cert c -www -quiet & s=$!; until_true openssl s_client -connect "127.0.0.1:$p" </dev/null; for _ in $(seq 20); do curl -sk "https://127.0.0.1:$p/" | grep -c 'New, TLS'; done | sort | uniq -c; kill $s; wait $s; lines 20000 | openssl enc -aes-256-cbc -pass pass:x -pbkdf2 | openssl enc -d -aes-256-cbc -pass pass:x -pbkdf2 | md5sum; openssl speed -multi 2 -seconds 1 -bytes 1024 sha256 >o 2>&1; echo $?; }
run_sqlite() { { echo 'PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b, c); BEGIN;'; lines 30000 | awk '{ print "INSERT INTO t(b,c) VALUES(" $1 ",\x27" $2 $3 "\x27);" }'; echo 'COMMIT; CREATE INDEX i ON t(b); UPDATE t SET c = c || b WHERE a % 3 = 0; DELETE FROM t WHERE b % 5 = 0; VACUUM; PRAGMA integrity_check; SELECT count(*), sum(b), max(length(c)) FROM t; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT sum(i), group_concat(i % 10) > 0 FROM n; SELECT json_group_array(b) > 0 FROM t; CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f SELECT c FROM t; SELECT count(*) FROM f WHERE f MATCH \x27line9*\x27;'; } | sed "s/\\\\x27/'/g" | sqlite3 x.db; sqlite3 x.db .dump | md5sum; }
run_node() {
  cat >a.js <<'J'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto'), { execFileSync } = require('child_process');
if (!isMainThread) {
  const kept = []; let h = 0;
  for (let i = 0; i < 20000; i++) { kept.push({ i, s: 'x'.repeat(i % 50) }); if (i % 100 == 0) h ^= Buffer.alloc(i + 1, i).readUInt8(0); }
  parentPort.postMessage([workerData, kept.length, h, zlib.gunzipSync(zlib.gzipSync(JSON.stringify(kept))).length]);
} else {
  const all = [];
  for (let n = 0; n < 6; n++) new Worker(__filename, { workerData: n }).on('message', m => all.push(m)).on('exit', () => {
    if (all.length == 6 && !all.done) { all.done = 1; console.log(JSON.stringify(all.sort())); console.log(crypto.pbkdf2Sync('a', 'b', 20000, 32, 'sha512').toString('hex')); console.log(execFileSync('/bin/echo', ['child']).toString()); if (global.gc) gc(); }
  });
}
J
  node --expose-gc a.js; node -e 'const http=require("http");const s=http.createServer((q,r)=>r.end("x".repeat(50000))).listen(0,"127.0.0.1",async()=>{let n=0;for(let i=0;i<200;i++)n+=(await(await fetch("http://127.0.0.1:"+s.address().port)).text()).length;console.log(n);s.close();s.closeAllConnections()})'
}
run_java() {
  cat >A.java <<'J'
import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import java.util.zip.*;
public class A {
  static int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1); }
  public static void main(String[] a) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(8); List<Future<Long>> f = new ArrayList<>();
    for (int t = 0; t < 40; t++) { final int s = t; f.add(pool.submit(() -> { Map<Integer, String> m = new HashMap<>(); for (int i = 0; i < 20000; i++) m.put(i * s, "v" + i); Deflater d = new Deflater(); d.setInput(m.toString().getBytes()); d.finish(); byte[] b = new byte[1 << 20]; long n = d.deflate(b); d.end(); return (long) m.size(); })); }
    long sum = 0; for (Future<Long> x : f) sum += x.get(); System.out.println(sum); pool.shutdown();
    int n = 0; for (int i = 0; i < 3000; i++) try { Object o = i % 2 == 0 ? null : "s"; o.hashCode(); } catch (NullPointerException e) { n++; } System.out.println(n);
    try { deep(1 << 30); } catch (StackOverflowError e) { System.out.println("overflow"); }
    java.nio.ByteBuffer[] k = new java.nio.ByteBuffer[100]; for (int i = 0; i < 2000; i++) k[i % 100] = java.nio.ByteBuffer.allocateDirect(i * 10); System.gc();
    System.out.println(IntStream.range(0, 1000000).parallel().mapToLong(i -> i).sum());
    System.out.println(new String(new ProcessBuilder("/bin/echo", "child").start().getInputStream().readAllBytes()).trim());
  }
}
J
  javac A.java && java -Xmx300m A && java -Xint -Xmx300m -XX:+UseSerialGC A | md5sum && java -XX:+UseParallelGC -Xmx300m -Xcheck:jni A | grep -v -i warning | md5sum
}
run_vim() { lines 2000 >a; vim -u NONE -es -c '%s/line/Zeile/g' -c 'g/7$/normal dd' -c 'sort n' -c '1,50move $' -c 'undo' -c 'redo' -c 'wq! b' a; md5sum <b; vim -u NONE -es -c 'let l = map(range(20000), "v:val * 2")' -c 'call writefile([string(len(filter(l, "v:val % 3")))], "c")' -c 'qa!'; cat c; }
run_tmux() { export TMUX_TMPDIR="$PWD"; tmux -f /dev/null -L s new-session -d -x 80 -y 24 'cat'; for i in $(seq 30); do tmux -L s send-keys "word $i" Enter; tmux -L s new-window -d 'sleep 9'; done; until_true sh -c 'tmux -L s capture-pane -p -S - -t 0 | grep -q "word 30"'; tmux -L s list-windows | wc -l; tmux -L s capture-pane -p -S - -t 0 | sort -u | grep -c word; tmux -L s kill-server; }
run_cmake() { mkdir s && printf 'cmake_minimum_required(VERSION 3.10)\nproject(x C CXX)\nadd_library(l b.c)\nadd_executable(a a.cc)\ntarget_link_libraries(a l)\nenable_testing()\nadd_test(t a)\n' >s/CMakeLists.txt; echo 'int f(void) { return 0; }' >s/b.c; echo 'extern "C" int f(void); int main() { return f(); }' >s/a.cc; cmake -S s -B b 2>&1 | grep -E '^-- (Conf|Gen|Build f)' | sed "s#$PWD##; s/([0-9.]*s)//"; cmake --build b -j2 2>&1 | sort; (cd b && ctest) | grep 'tests passed'; }
run_cargo() { export CARGO_HOME="$PWD/cargo"; cargo new -q --vcs none x 2>&1; cd x || return; cat >src/main.rs <<'R'
use std::collections::HashMap;
fn main() { let handles: Vec<_> = (0..8).map(|t| std::thread::spawn(move || { let mut m = HashMap::new(); for i in 0..20_000u64 { m.insert(i * t, format!("{i}")); } m.len() })).collect(); println!("{}", handles.into_iter().map(|h| h.join().unwrap()).sum::<usize>()); }
#[test] fn a() { assert_eq!(2 + 2, 4); }
#[test] #[should_panic] fn b() { let v: Vec<i32> = Vec::new(); let _ = v[1]; }
R
  cargo run -q --offline; cargo run -q --offline --release; cargo test -q --offline 2>&1 | grep -E 'test result' | sed 's/finished.*//'; cargo build --offline 2>&1 | sed 's/in [0-9.]*s//' | tail -1; }
run_perl() { perl -e 'use threads; my @t = map { my $n = $_; threads->create(sub { my %h; $h{$_ * $n} .= "x" x ($_ % 30) for 1 .. 5000; scalar keys %h }) } 1 .. 6; print join(",", map { $_->join } @t), "\n"; my $p = fork; if (!$p) { my @a = map { [1 .. 10] } 1 .. 5000; exit 7 } waitpid $p, 0; print $? >> 8, "\n"; my $s = "ab" x 10000; $s =~ s/(a)(b)/$2$1/g; print length $s, "\n"; local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; my @x; while (1) { @x = map { "$_" } 1 .. 100 } }; print $@'; }
run_ruby() { ruby -e 'puts 6.times.map { |t| Thread.new { (1..5000).map { |i| (i * t).to_s }.uniq.size } }.map(&:value).inspect; p Ractor.new { 1 + 2 }.take; f = Fiber.new { 3000.times { |i| Fiber.yield "x" * i }; :end }; x = nil; x = f.resume until x == :end; p x; r, w = IO.pipe; fork { w.puts "child"; exit! 0 }; p r.gets; GC.compact; p GC.stress = false; def d(n) = d(n + 1); begin; d(0); rescue SystemStackError => e; puts e.class; end' 2>/dev/null; }
run_python() { PYTHONMALLOC=malloc python3 -c '
import asyncio, ctypes, json, lzma, multiprocessing, os, signal, sqlite3, subprocess, threading
print(len(json.dumps([{str(i): [i] * 9} for i in range(5000)])), len(lzma.decompress(lzma.compress(bytes(100000)))))
p = multiprocessing.get_context("fork").Pool(3); print(sum(p.map(abs, range(-2000, 0)))); p.close(); p.join()
t = [threading.Thread(target=lambda: [bytes(i) for i in range(3000)]) for _ in range(8)]; [x.start() for x in t]; [x.join() for x in t]
print([subprocess.run(["true"]).returncode for _ in range(20)])
c = ctypes.CDLL(None); c.malloc.restype = ctypes.c_void_p; q = [c.malloc(n) for n in range(1, 2000)]; [c.free(ctypes.c_void_p(x)) for x in q]
signal.signal(signal.SIGALRM, lambda *_: [str(i) for i in range(100)]); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001); x = [str(i) * 3 for i in range(300000)]; signal.setitimer(signal.ITIMER_REAL, 0); print(len(x))
async def f():
    r = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1); return await r.communicate(b"hello")
print(asyncio.run(f()))
'; }
run_memcached() { p=$(port); memcached -u nobody -l 127.0.0.1 -p "$p" -t 4 -m 16 & s=$!; python3 - "$p" <<'P'
import socket, sys, threading, time
def connect():
    for _ in range(100):
        try: return socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        except OSError: time.sleep(0.1)
good = []
def work(t):
    s = connect(); f = s.makefile("rwb", 0); ok = 0
    for i in range(1500):
        v = b"%d" % i * (i % 300 + 1); f.write(b"set k%d-%d 0 0 %d\r\n%s\r\n" % (t, i, len(v), v)); ok += f.readline() == b"STORED\r\n"
        f.write(b"get k%d-%d\r\n" % (t, i)); f.readline(); ok += f.read(len(v) + 2) == v + b"\r\n"; f.readline()
    good.append(ok)
ts = [threading.Thread(target=work, args=(t,)) for t in range(4)]; [t.start() for t in ts]; [t.join() for t in ts]; print(good)
P
  kill -TERM $s; wait $s; echo $?; }
run_nginx() { p=$(port); mkdir -p w l; lines 20000 >w/a; printf 'daemon off; master_process on; worker_processes 2; user root; pid %s/p; error_log %s/l/e; events {}\nhttp { access_log off; client_body_temp_path l; proxy_temp_path l; fastcgi_temp_path l; uwsgi_temp_path l; scgi_temp_path l; gzip on; gzip_types *; server { listen 127.0.0.1:%s; root %s/w; location /p/ { proxy_pass http://127.0.0.1:%s/; } } }' "$PWD" "$PWD" "$p" "$PWD" "$p" >c; nginx -p "$PWD/" -e "$PWD/l/e" -c "$PWD/c" & s=$!; until_true curl -sf "http://127.0.0.1:$p/a"; for u in a p/a a; do for _ in $(seq 60); do curl -s --compressed "http://127.0.0.1:$p/$u" | md5sum; done; done | sort | uniq -c; kill -HUP $s; sleep 1; curl -s "http://127.0.0.1:$p/a" | md5sum; kill -QUIT $s; wait $s; echo $?; grep -cE 'emerg|alert|signal 11|core' l/e; }
run_redis() { redis-server --port 0 --unixsocket "$PWD/s" --dir "$PWD" --appendonly yes --save '' --enable-debug-command yes >log & s=$!; r() { redis-cli -s "$PWD/s" "$@"; }; until_true r ping; redis-benchmark -s "$PWD/s" -q -n 4000 -P 8 -r 5000 -t set,get,lpush,zadd,hset,mset >/dev/null; r debug populate 20000 k 100; lines 3000 | awk '{ print "SET", "x" $3, $1 }' | r >/dev/null; r get x77; r bgrewriteaof >/dev/null; until_true sh -c "redis-cli -s '$PWD/s' info persistence | grep -q 'aof_rewrite_in_progress:0'"; r dbsize | awk '{ print ($1 > 20000) }'; r debug reload; r get x77; r eval 'local t = {} for i = 1, 9000 do t[i] = tostring(i) end return #table.concat(t)' 0; r memory doctor >/dev/null; r shutdown; wait $s; echo $?; }
run_postgres() { local b; b=$(ls -d /usr/lib/postgresql/*/bin | tail -1); chmod 755 .; mkdir d && chown postgres d; as() { runuser -u postgres -- env PGHOST="$PWD/d" "$@"; }; as "$b/initdb" -D "$PWD/d/data" -A trust --no-locale -E UTF8 --no-sync | tail -1 | wc -w; as "$b/pg_ctl" -w -s -D "$PWD/d/data" -l "$PWD/d/log" -o "-k $PWD/d -c listen_addresses= -c jit=on -c jit_above_cost=100 -c max_parallel_workers_per_gather=2 -c min_parallel_table_scan_size=0" start; as pgbench -i -q -s 2 postgres >/dev/null 2>&1; as pgbench -n -c 4 -j 2 -t 200 postgres 2>&1 | grep -E 'actually|failed'; as psql -Atc 'select count(*), sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts; select count(distinct a.aid % 7) from pgbench_accounts a join pgbench_accounts b using (bid) where a.aid < 300' postgres; as "$b/pg_ctl" -w -s -m fast -D "$PWD/d/data" stop; echo $?; grep -cE 'PANIC|terminated by signal' d/log; }
run_mariadb() { mkdir d; mysql_install_db --no-defaults --datadir="$PWD/d" --auth-root-authentication-method=normal --user=root >l 2>&1; echo $?; mariadbd --no-defaults --user=root --datadir="$PWD/d" --socket="$PWD/s" --skip-networking --innodb-buffer-pool-size=32M --pid-file="$PWD/p" >>l 2>&1 & m=$!; until_true mariadb -uroot -S "$PWD/s" -e 'select 1'; mariadb -uroot -S "$PWD/s" test -Ne 'create table t(a int primary key auto_increment, b varchar(300), c json, key(b)); insert into t(b, c) select repeat("x", seq % 200), json_object("a", seq) from seq_1_to_20000; update t set b = concat(b, a) where a % 3 = 0; select count(*), sum(length(b)), sum(json_value(c, "$.a")) from t; select count(*) from t x join t y using (b); check table t; alter table t engine=aria; checksum table t;' 2>&1; mariadb-admin -uroot -S "$PWD/s" shutdown; wait $m; echo $?; grep -ciE 'signal 11|assert' l; }
run_glib() { export G_SLICE=always-malloc G_DEBUG=gc-friendly; gsettings list-schemas >/dev/null 2>&1; gio list -l /usr/share | wc -l; gdbus help 2>&1 | wc -l; glib-compile-schemas --dry-run --strict /usr/share/glib-2.0/schemas 2>&1 | wc -l; }

if [ $# = 0 ]; then declare -F | sed -n 's/^declare -f run_//p'; else "run_$1"; fi
