-- Stacks of many sorts in SQLite: joins, recursion, JSON, full-text search, triggers.
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, printf('%05d', (i * 7919) % 20000), i / 3.0 from n;
create index tb on t(b);
create table log(a, b);
create trigger after update on t begin insert into log values (old.a, new.b); end;
update t set b = b || 'x' where a % 10 = 0;
select count(*), group_concat(distinct substr(b, 1, 2)) from t;
select count(*) from t x join t y on x.b = y.b where x.a < 3000;
select sum(length(json_group)) from (select json_group_array(json_object('a', a, 'b', b)) json_group from t group by a % 100);
create virtual table words using fts5(w);
insert into words select b || ' ' || a from t;
select count(*) from words where words match '1*';
select b, row_number() over (partition by a % 7 order by c desc) r from t order by r, b limit 5;
vacuum;
