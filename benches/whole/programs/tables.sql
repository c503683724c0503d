-- Tables, an index, a join, text and JSON in memory. Run by run.py, which makes the table `size` first.
CREATE TABLE item (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, body TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n, size WHERE i < size.rows)
INSERT INTO item SELECT i, i * 7919 % 1000, printf('item %d of many', i), hex(zeroblob(i % 200)) FROM n;
CREATE INDEX by_owner ON item (owner, name);
SELECT count(*), max(length(list)) FROM (SELECT group_concat(name, ', ') AS list FROM item GROUP BY owner);
SELECT count(*) FROM item a JOIN item b ON b.owner = a.owner AND b.id = a.id + 1000;
SELECT sum(length(json_object('id', id, 'name', upper(name), 'words', replace(name, ' ', '_')))) FROM item;
UPDATE item SET body = body || name WHERE owner % 3 = 0;
SELECT count(DISTINCT substr(body, 1, 40)) FROM item;
DELETE FROM item WHERE owner % 2 = 0;
