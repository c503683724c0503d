"""heapql: label scopes for Python programs: whose memory this is, as tenant, context and label.

Not needed to be recorded: `heapql run -- python3 ...` records any program. One file without dependencies, for CPython 3.9
and later; it talks to the preload library through ctypes, and where that is not loaded everything here does nothing (but
still refuses bad arguments). Imported by programs.

    with heapql.scope("cache", tenant=1001):       # what this thread allocates is the cache's until the end of the block,
        ...                                        # whoever frees it and whenever

    @heapql.scope("report")                        # each call; of an `async def`, each step of it
    def report(): ...

    await heapql.scoped(fetch(url), "fetch")       # a coroutine, on whatever thread and between whatever other tasks

    loop.set_task_factory(heapql.task_factory)     # asyncio: `with` blocks stay with their task across `await`

label   str or bytes. The first 15 bytes of its UTF-8 count, and no part of a character. At most 512 in a process: scopes
        of further ones leave the label around them in force and are counted as labels_full in self_usage.
tenant  1 to 2**63-1: 1 = sys, 500 (default) = what has no scope, users from 1001. Else ValueError.
ctx     0 (default, DEFAULT_CTX_ID) to 2**63-1. Else ValueError.

Scopes belong to their thread; new threads begin without one, those of executors too. A plain `with` block in a coroutine
that awaits inside it needs `scoped` around the coroutine or the task factory: else the tasks that run meanwhile are
labelled too. Generators are the same: leave the scope before `yield`.

Python takes objects of up to 512 bytes from arenas of its own, which no recorder of malloc sees. With PYTHONMALLOC=malloc
in the environment every object is seen.
"""
import collections.abc
import ctypes
import functools
import inspect

__all__ = ["is_loaded", "scope", "scoped", "task_factory"]

_MOST_ID = 2**63 - 1
_NO_LABEL = 0xFFFF


def _library():
    """The two functions of the preload library, if this process has it."""
    try:
        # PyDLL: the calls take some nanoseconds, so the interpreter's lock is kept.
        process = ctypes.PyDLL(None)
        number, switch = process.heapql_label, process.heapql_switch
    except (AttributeError, OSError, TypeError):
        return None, lambda number: _NO_LABEL
    number.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_size_t]
    number.restype = ctypes.c_int32
    switch.argtypes = [ctypes.c_uint16]
    switch.restype = ctypes.c_uint16
    return number, switch


# Makes a number current and returns the one before. _NO_LABEL changes nothing and tells the present one.
_number, _switch = _library()
# Numbers by (tenant, ctx, label), checked: they never change, in forked children neither.
_known = {}
_MOST_KNOWN = 2048


def is_loaded():
    """True if the preload library is there, which does not mean that this process is being sampled."""
    return _number is not None


def _check(tenant, ctx, label):
    if not isinstance(label, (str, bytes)):
        raise TypeError(f"a label is str or bytes, not {type(label).__name__}")
    for name, value, least in (("tenant", tenant, 1), ("ctx", ctx, 0)):
        if not isinstance(value, int):
            raise TypeError(f"{name} is an int, not {type(value).__name__}")
        if not least <= value <= _MOST_ID:
            raise ValueError(f"{name} {value} is not in {least}..{_MOST_ID}")


def _number_of(key):
    """The number of a label that was checked; _NO_LABEL if it cannot be had now."""
    number = _known.get(key, _NO_LABEL)
    if number == _NO_LABEL and _number is not None:
        tenant, ctx, label = key
        text = label.encode("utf-8", "replace") if isinstance(label, str) else label
        number = _number(tenant, ctx, text, len(text))
        if number < 0:
            return _NO_LABEL
    if key not in _known:
        # Many long labels may be one label.
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = number
    return number


class scope:
    """A context manager and a decorator. A `with` block may be entered once at a time; make one for each."""

    __slots__ = ("_key", "_before")

    def __init__(self, label, *, tenant=500, ctx=0):
        self._key = key = (tenant, ctx, label)
        self._before = None
        if key not in _known:
            _check(*key)

    def __enter__(self):
        if self._before is not None:
            raise RuntimeError("this scope is entered already: make another for each block")
        number = _known.get(self._key)
        self._before = _switch(_number_of(self._key) if number is None else number)
        return self

    def __exit__(self, *_):
        if self._before is None:
            raise RuntimeError("this scope has not been entered")
        before, self._before = self._before, None
        _switch(before)

    def __call__(self, function):
        tenant, ctx, label = self._key
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def labelled(*args, **kwargs):
                return await scoped(function(*args, **kwargs), label, tenant=tenant, ctx=ctx)

        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"'{function.__name__}' is a generator, which would leave its scope to others at a yield")
        else:

            @functools.wraps(function)
            def labelled(*args, **kwargs):
                with scope(label, tenant=tenant, ctx=ctx):
                    return function(*args, **kwargs)

        return labelled


class _Steps(collections.abc.Coroutine):
    """A coroutine that takes every step under the label under which its last step ended."""

    __slots__ = ("_coroutine", "_number", "__weakref__")

    def __init__(self, coroutine, number):
        self._coroutine = coroutine
        self._number = number

    def _step(self, step, *values):
        around = _switch(self._number)
        try:
            return step(*values)
        finally:
            self._number = _switch(around)

    def send(self, value):
        return self._step(self._coroutine.send, value)

    def throw(self, *error):
        return self._step(self._coroutine.throw, *error)

    def close(self):
        return self._step(self._coroutine.close)

    # As an awaitable it is its own iterator.
    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def __getattr__(self, name):
        # What debuggers and asyncio's messages ask of coroutines: cr_code, cr_frame, __qualname__ ...
        return getattr(self._coroutine, name)


def scoped(coroutine, label, *, tenant=500, ctx=0):
    """A coroutine that does what `coroutine` does, under a label. For `await`, or for a task of its own."""
    _check(tenant, ctx, label)
    if not isinstance(coroutine, collections.abc.Coroutine):
        raise TypeError(f"a coroutine is needed, not {type(coroutine).__name__}")
    number = _number_of((tenant, ctx, label))
    return coroutine if number == _NO_LABEL else _Steps(coroutine, number)


def task_factory(loop, coroutine, **options):
    """For `loop.set_task_factory`: each task keeps a label of its own, which begins as that of its creator."""
    import asyncio

    if is_loaded():
        coroutine = _Steps(coroutine, _switch(_NO_LABEL))
    return asyncio.Task(coroutine, loop=loop, **options)
