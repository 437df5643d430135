"""A team of threads that share one piece of work after another, by tickets.

The pieces of all stages are numbered through. A thread draws a number, waits until all pieces of the stages before are
done, does its piece and draws the next: so a slow thread holds up the others by a piece at most, and a stage's end
costs a microsecond. All that they share is one int64 array, the board.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

_DRAWN, _DONE, _SIZE, _YIELD = 0, 8, 16, 17
"""Places on the board; the first two lie in cache lines of their own."""

_SPINS = 4000
"""How often a thread looks before it lets another run: some 20 us, longer than a piece's end should be away."""


SPAN = 0.1
"""s of work after which a crew looks whether it gets its processors."""

CROWDED = 0.7
"""Share of the time that a thread must have a processor for itself for a team to be worth while."""

ALONE = 20
"""Spans that one thread works alone after a crowded one."""


def board(threads: int) -> npt.NDArray[np.int64]:
    """For a team of `threads`; `reset` before each use."""
    out = np.zeros(32, np.int64)
    out[_SIZE] = threads
    windows = sys.platform == "win32"
    library: Any = ctypes.CDLL("kernel32" if windows else None)
    give = library.SwitchToThread if windows else library.sched_yield
    out[_YIELD] = ctypes.cast(give, ctypes.c_void_p).value or 0
    return out


def reset(team: npt.NDArray[np.int64]) -> None:
    """Number the pieces from 0 again. Only when no thread is at work."""
    team[_DRAWN] = team[_DONE] = 0


class Crew:
    """Threads for a long row of steps, which become one thread while others want the processors.

    A team goes on only while all of it runs, so on a busy machine it would mostly wait. What is computed is the same.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._pool = threads, ThreadPoolExecutor(threads)
        self._size, self._alone = 1, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def work(self, share: Callable[[npt.NDArray[np.int64], int, int], None], steps: int) -> None:
        """Calls share(board, begin, end) in every thread of the team for span after span of the steps."""
        if self._threads == 1:
            share(board(1), 0, steps)
            return
        begin = 0
        while begin < steps:
            end = min(begin + self._size, steps)
            team = self._threads if self._alone == 0 else 1
            shared = board(team)
            start, busy = time.perf_counter(), time.thread_time()
            others = [self._pool.submit(share, shared, begin, end) for _ in range(1, team)]
            share(shared, begin, end)
            for other in others:
                other.result()
            spent, busy = time.perf_counter() - start, time.thread_time() - busy
            self._alone = max(self._alone - 1, 0)
            # Less than a moment says nothing.
            if team > 1 and spent > SPAN / 20 and busy < CROWDED * spent:
                self._alone = ALONE
            if spent < SPAN / 2:
                self._size *= 2
            elif spent > 2 * SPAN:
                self._size = max(1, self._size // 2)
            begin = end


@intrinsic
def _add(typing, address):  # type: ignore[no-untyped-def]
    """Adds 1 to the int64 at an address; what was there before."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, ir.IntType(64)(1), "acq_rel")

    return types.int64(types.uintp), generate


@intrinsic
def _look(typing, address):  # type: ignore[no-untyped-def]
    """The int64 at an address, as other threads left it."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load_atomic(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), "acquire", 8)

    return types.int64(types.uintp), generate


@intrinsic
def _call(typing, address):  # type: ignore[no-untyped-def]
    """Calls a C function without arguments."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        builder.call(builder.inttoptr(arguments[0], ir.FunctionType(ir.IntType(32), ()).as_pointer()), ())
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@numba.njit(nogil=True)
def draw(team):  # type: ignore[no-untyped-def]
    """A thread's first ticket."""
    return _add(team.ctypes.data + 8 * _DRAWN) if team[_SIZE] > 1 else 0


@numba.njit(nogil=True)
def at_once(team, left):  # type: ignore[no-untyped-def]
    """How many of a stage's last pieces a thread does at once: all, where it is alone."""
    return left if team[_SIZE] == 1 else 1


@numba.njit(nogil=True)
def done(team, ticket, many):  # type: ignore[no-untyped-def]
    """Says that so many pieces from the ticket's on are done; the thread's next ticket."""
    if team[_SIZE] == 1:
        return ticket + many
    _add(team.ctypes.data + 8 * _DONE)
    return _add(team.ctypes.data + 8 * _DRAWN)


@numba.njit(nogil=True)
def wait(team, pieces):  # type: ignore[no-untyped-def]
    """Until so many pieces are done."""
    if team[_SIZE] == 1:
        return
    spins = 0
    while _look(team.ctypes.data + 8 * _DONE) < pieces:
        spins += 1
        if spins > _SPINS:
            _call(team[_YIELD])
