"""Work on many samples with all cores, in order, with only a few in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def ordered(work: Callable[[In], Out], items: Iterable[In], *, threads: int | None = None) -> Iterator[Out]:
    """`work` of each item, in the items' order; at most two results a thread wait to be taken.

    For work that leaves the interpreter, as file reading, NumPy and codecs do.
    """
    count = threads or os.cpu_count() or 1
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
