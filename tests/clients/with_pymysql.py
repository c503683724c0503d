"""What a Python program does with the MySQL protocol, by pymysql. usage: with_pymysql.py MYSQL_PORT POSTGRES_PORT

The server records a program that holds 12 objects of 1009 bytes. Prints "ok", or dies where it is wrong.
"""

import sys

import common
import pymysql
import pymysql.cursors

common.end_if_hanging()

PORT = int(sys.argv[1])


def connect(**other):
    settings = {"user": "root@sys", "database": "oceanbase", "connect_timeout": common.TIMEOUT, "read_timeout": common.TIMEOUT}
    return pymysql.connect(host="127.0.0.1", port=PORT, **(settings | other))


def queries(connection):
    with connection.cursor() as cursor:
        assert cursor.execute(f"SELECT * FROM {common.TABLE} WHERE alloc_bytes = 12 * 1009") == 1
        assert [column[0] for column in cursor.description] == common.COLUMNS
        row = cursor.fetchone()
        assert [type(value) for value in row] == [str, int, int, int, str, str, str, int, int], row
        assert row[2:5] == (500, 22, "glibc_malloc") and row[7:] == (12, 12 * 1009), row
        assert len(row[5].split(" ")) == 16, row
        assert cursor.fetchone() is None


def parameters(connection):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT alloc_count FROM {common.TABLE} WHERE mod_name = %s AND alloc_bytes = %s", ("glibc_malloc", 12108))
        assert cursor.fetchall() == ((12,),)
        cursor.execute("SELECT %s, %s, %s, %s", ("it's \"so\" \\ ü %", 7, 1.5, None))
        assert cursor.fetchall() == (("it's \"so\" \\ ü %", 7, 1.5, None),)
        assert cursor.execute(f"SELECT 1 FROM {common.TABLE} WHERE mod_name = %s", ("' OR '1' = '1",)) == 0


def dictionaries():
    with connect(cursorclass=pymysql.cursors.DictCursor) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT mod_name, alloc_count AS n FROM {common.TABLE} WHERE alloc_bytes = 12108")
        assert cursor.fetchall() == [{"mod_name": "glibc_malloc", "n": 12}]
        cursor.execute("SHOW PARAMETERS LIKE '_min_malloc%'")
        assert cursor.fetchone()["name"] == "_min_malloc_sample_interval"


def streaming():
    with connect(cursorclass=pymysql.cursors.SSCursor) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT back_trace FROM {common.TABLE}")
        assert sum(1 for _ in cursor) > 0


def warnings(connection):
    with connection.cursor() as cursor:
        assert cursor.execute("ALTER SYSTEM SET _min_malloc_sample_interval=10000") == 0
        cursor.execute("SHOW WARNINGS")
        ((level, code, message),) = cursor.fetchall()
        assert (level, int(code)) == ("Warning", 4147) and "10000" in message, (level, code, message)
        assert [warning[1] for warning in connection.show_warnings()] == [4147]
        cursor.execute("ALTER SYSTEM SET _min_malloc_sample_interval=1")
        assert connection.show_warnings() == () or connection.show_warnings() == []


def errors(connection):
    with connection.cursor() as cursor:
        cases = [
            ("SELEC 1", pymysql.err.ProgrammingError, 1064),
            ("SELECT * FROM no_such_table", pymysql.err.ProgrammingError, 1146),
            ("SELECT no_such_column FROM " + common.TABLE, pymysql.err.OperationalError, 1054),
            ("ALTER SYSTEM SET _min_malloc_sample_interval = 0", pymysql.err.MySQLError, 4147),
            ("ALTER SYSTEM SET no_such_parameter = 0", pymysql.err.MySQLError, 5099),
            ("DROP TABLE " + common.TABLE, pymysql.err.MySQLError, 1290),
        ]
        for sql, kind, number in cases:
            try:
                cursor.execute(sql)
            except kind as error:
                assert error.args[0] == number, (sql, error)
            else:
                raise AssertionError(sql)
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)


def sessions(connection):
    connection.ping(reconnect=False)
    connection.autocommit(True)
    connection.begin()
    connection.commit()
    connection.rollback()
    connection.select_db("heapql")
    with connection.cursor() as cursor:
        cursor.execute("SELECT database(), connection_id()")
        ((database, number),) = cursor.fetchall()
        assert (database, number) == ("heapql", connection.thread_id())
        cursor.execute("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci")
        cursor.execute("SELECT @@session.autocommit, @@max_allowed_packet, @@character_set_client")
        cursor.execute("SHOW VARIABLES LIKE 'character_set%'")
        assert len(cursor.fetchall()) > 0
    connection.select_db("oceanbase")


def reconnecting(connection):
    connection.close()
    connection.ping(reconnect=True)
    queries(connection)
    for _ in range(20):
        connect().close()


def refused_logins():
    for other in [{"user": "nobody@sys"}, {"user": "root@t1"}, {"password": "wrong"}]:
        try:
            connect(**other)
        except pymysql.err.OperationalError as error:
            assert error.args[0] == 1045, error
        else:
            raise AssertionError(other)


def work():
    with connect() as connection:
        for _ in range(5):
            queries(connection)


with connect() as main:
    assert main.get_server_info().startswith("5.7.25-OceanBase")
    queries(main)
    parameters(main)
    dictionaries()
    streaming()
    warnings(main)
    errors(main)
    sessions(main)
    refused_logins()
    common.at_once(8, work)
    reconnecting(main)
print("ok")
