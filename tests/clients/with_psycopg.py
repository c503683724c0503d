"""What a Python program does with the PostgreSQL protocol, by psycopg. usage: with_psycopg.py MYSQL_PORT POSTGRES_PORT

The server records a program that holds 12 objects of 1009 bytes. Prints "ok", or dies where it is wrong.
"""

import sys
import threading

import common
import psycopg
from psycopg.rows import dict_row, namedtuple_row

common.end_if_hanging()

PORT = int(sys.argv[2])


def connect(**other):
    settings = {"user": "root", "dbname": "oceanbase", "connect_timeout": common.TIMEOUT, "autocommit": True}
    return psycopg.connect(host="127.0.0.1", port=PORT, **(settings | other))


def queries(connection):
    for binary in [False, True]:
        with connection.cursor(binary=binary) as cursor:
            cursor.execute(f"SELECT * FROM {common.TABLE} WHERE alloc_bytes = 12 * 1009")
            assert [column.name for column in cursor.description] == common.COLUMNS
            row = cursor.fetchone()
            assert [type(value) for value in row] == [str, int, int, int, str, str, str, int, int], row
            assert row[2:5] == (500, 22, "glibc_malloc") and row[7:] == (12, 12 * 1009), row
            assert len(row[5].split(" ")) == 16, row
            assert cursor.fetchone() is None


def parameters(connection):
    sql = f"SELECT alloc_count FROM {common.TABLE} WHERE mod_name = %s AND alloc_bytes = %s"
    for prepare in [False, True]:
        for _ in range(3):
            rows = connection.execute(sql, ("glibc_malloc", 12108), prepare=prepare).fetchall()
            assert rows == [(12,)], rows
    row = connection.execute("SELECT %s::text, %s::bigint, %s::float8, %s::text", ("it's \"so\" \\ ü", 7, 1.5, None)).fetchone()
    assert row == ("it's \"so\" \\ ü", 7, 1.5, None), row
    assert connection.execute(f"SELECT 1 FROM {common.TABLE} WHERE mod_name = %s", ("' OR '1' = '1",)).fetchall() == []


def rows(connection):
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(f"SELECT mod_name, alloc_count AS n FROM {common.TABLE} WHERE alloc_bytes = 12108")
        assert cursor.fetchall() == [{"mod_name": "glibc_malloc", "n": 12}]
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        cursor.execute("SHOW PARAMETERS LIKE '_min_malloc%'")
        assert cursor.fetchone().name == "_min_malloc_sample_interval"


def notices(connection):
    heard = []
    # A notice can be read only while it is being handled.
    connection.add_notice_handler(lambda notice: heard.append((notice.severity, notice.message_primary)))
    connection.execute("ALTER SYSTEM SET _min_malloc_sample_interval=10000")
    ((severity, message),) = heard
    assert severity in ("WARNING", "NOTICE") and "10000" in message, heard
    connection.execute("ALTER SYSTEM SET _min_malloc_sample_interval=1")
    assert len(heard) == 1


def errors(connection):
    cases = [
        ("SELEC 1", psycopg.errors.SyntaxError),
        ("SELECT * FROM no_such_table", psycopg.errors.UndefinedTable),
        ("SELECT no_such_column FROM " + common.TABLE, psycopg.errors.UndefinedColumn),
        ("ALTER SYSTEM SET _min_malloc_sample_interval = 0", psycopg.errors.InvalidParameterValue),
        ("ALTER SYSTEM SET no_such_parameter = 0", psycopg.errors.UndefinedObject),
        ("DROP TABLE " + common.TABLE, psycopg.errors.ReadOnlySqlTransaction),
    ]
    for sql, kind in cases:
        try:
            connection.execute(sql)
        except kind as error:
            assert error.diag.message_primary, sql
        else:
            raise AssertionError(sql)
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def transactions():
    with connect(autocommit=False) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        connection.commit()
        with connection.transaction():
            assert connection.execute("SELECT 2").fetchone() == (2,)
        try:
            connection.execute("SELECT * FROM no_such_table")
        except psycopg.errors.UndefinedTable:
            connection.rollback()
        assert connection.execute("SELECT 3").fetchone() == (3,)


def many_results(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1; SELECT 2")
        assert cursor.fetchall() == [(1,)]
        assert cursor.nextset()
        assert cursor.fetchall() == [(2,)]
        for row in cursor.stream(f"SELECT back_trace FROM {common.TABLE}"):
            assert len(row[0].split(" ")) == 16


def cancelling(connection):
    is_over = threading.Event()

    def cancel():
        # Again and again: a cancellation that comes before the statement has no effect.
        while not is_over.wait(0.5):
            connection.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    try:
        # Far more rows than anyone waits for.
        many = "(SELECT * FROM generate_series(1, 100000))"
        connection.execute(f"SELECT count(*) FROM {many} AS a CROSS JOIN {many} AS b CROSS JOIN {many} AS c")
    except psycopg.errors.QueryCanceled:
        pass
    else:
        raise AssertionError("it was not cancelled")
    finally:
        is_over.set()
        canceller.join()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def refused_logins():
    for other in [{"user": "nobody"}, {"user": "root@t1"}]:
        try:
            connect(**other)
        except psycopg.OperationalError as error:
            assert "password authentication failed" in str(error), error
        else:
            raise AssertionError(other)
    connect(user="root@sys").close()


def work():
    with connect() as connection:
        for _ in range(5):
            queries(connection)


with connect() as main:
    queries(main)
    parameters(main)
    rows(main)
    notices(main)
    errors(main)
    transactions()
    many_results(main)
    cancelling(main)
    refused_logins()
    common.at_once(8, work)
with connect() as again:
    queries(again)
print("ok")
