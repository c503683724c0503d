"""What both drivers' scripts share: the documented table, and an end for a script that hangs."""

import faulthandler
import threading

TABLE = "__all_virtual_malloc_sample_info"
COLUMNS = [
    "svr_ip", "svr_port", "tenant_id", "ctx_id", "mod_name", "back_trace", "ctx_name", "alloc_count", "alloc_bytes",
]
#: How long the server may take to answer, in seconds. It only bounds a hang.
TIMEOUT = 200


def end_if_hanging():
    """Prints where the script hangs, should it hang, and ends it."""
    faulthandler.dump_traceback_later(TIMEOUT + 50, exit=True)


def at_once(count, work):
    """Runs a function in several threads and fails if one of them does."""
    failed = []

    def run():
        try:
            work()
        except BaseException as error:  # a thread has no other way to tell
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
