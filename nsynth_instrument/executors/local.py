"""Work done once: blocks of finished notes on the disk, and this machine making those that are missing."""

from __future__ import annotations

import os
import re
import zipfile
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..audio import whole
from ..errors import NsynthError

Arrays = Mapping[str, npt.NDArray[Any]]
Raw = TypeVar("Raw")

BESIDE = 16
"""Blocks in hand at most, however many cores there are, since each may have 40 MB."""


@dataclass(frozen=True)
class Blocks:
    """Items 0..count-1 in a folder, a run of neighbours per file `FIRST-AFTER.npz`, each array's first axis the items.

    A block appears whole or not at all, so what lies there is done; one that the disk has spoilt does not count.
    """

    folder: Path
    count: int

    def done(self) -> list[range]:
        """The runs that are there, ascending, none overlapping."""
        found: list[range] = []
        for path in sorted(self.folder.glob("*.npz")):
            m = re.fullmatch(r"(\d{6})-(\d{6})", path.stem)
            if m and (found[-1].stop if found else 0) <= int(m[1]) < int(m[2]) <= self.count and zipfile.is_zipfile(path):
                found.append(range(int(m[1]), int(m[2])))
        return found

    def missing(self, size: int) -> list[range]:
        """The runs that are not there, none longer than `size`."""
        edges = [0, *(e for r in self.done() for e in (r.start, r.stop)), self.count]
        gaps = zip(edges[::2], edges[1::2], strict=True)
        return [range(i, min(i + size, stop)) for start, stop in gaps for i in range(start, stop, size)]

    def tidy(self) -> None:
        """Remove what was begun by a process that is no more."""
        for part in self.folder.glob(".*.part"):
            part.unlink(missing_ok=True)

    def put(self, run: range, arrays: Arrays) -> range:
        """Keep a run's arrays. Raises NsynthError when the disk is full or the folder refuses."""
        with whole(self._path(run)) as part, part.open("wb") as f:
            np.savez(f, **dict(arrays))  # type: ignore[arg-type]  # NumPy's types take any name for its option
        return run

    def get(self, run: range, name: str) -> npt.NDArray[Any]:
        """One of a run's arrays. Raises NsynthError when the disk has spoilt it."""
        try:
            with np.load(self._path(run), allow_pickle=False) as f:
                array: npt.NDArray[Any] = f[name]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
            raise NsynthError(f"{self._path(run)} is damaged ({e}); remove it and run the same command again") from e
        return array

    def _path(self, run: range) -> Path:
        return self.folder / f"{run.start:06d}-{run.stop:06d}.npz"


def fill(
    blocks: Blocks, make: Callable[[range], Raw], finish: Callable[[range, Raw], Arrays], *, size: int, threads: int | None = None
) -> Generator[range, None, None]:
    """Make every run that is missing; yields each as it reaches the disk.

    One is made here, run after run; `finish` and the writing in threads meanwhile, a few runs behind at most, so that memory
    does not grow with the work.
    """
    threads = min(threads or os.cpu_count() or 1, BESIDE)
    pending: deque[Future[range]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for run in blocks.missing(size):
            raw = make(run)
            pending.append(pool.submit(lambda r, w: blocks.put(r, finish(r, w)), run, raw))
            while pending and (pending[0].done() or len(pending) > threads):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
