"""Progress on stderr: one line that moves on a terminal, a few plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TextIO

WIDTH = 24
EVERY = 10.0
"""s between lines where nothing can be overwritten."""


Passed = Callable[[int, int], object]
"""Is told how many bytes of a file, or of several, have been gone through, and how many there are."""


class Bar:
    """Draws steps of notes that last `seconds` each. A context manager: it leaves the cursor on a line of its own."""

    def __init__(self, seconds: float, out: TextIO | None = None) -> None:
        self._seconds = seconds
        self._out = out or sys.stderr
        self._moves = self._out.isatty()
        self._stage, self._start, self._first, self._shown, self._drawn, self._ended = "", 0.0, 0, 0.0, 0, False

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._clear(keep=True)

    def show(self, stage: str, done: int, of: int, words: str = "") -> None:
        """`done` of `of` notes in `stage`; `words` stay on a line of their own."""
        now = time.monotonic()
        if words:
            self._clear()
            print(words, file=self._out)
        if stage != self._stage:
            self._clear(keep=True)
            self._stage, self._start, self._first, self._shown = stage, now, done, now if not self._moves else 0.0
            self._ended = False
        if words or self._ended or (done < of and now - self._shown < (0.1 if self._moves else EVERY)):
            return
        self._shown, self._ended = now, done >= of
        line = self._line(done, of, now - self._start)
        if self._moves:
            self._out.write("\r" + line.ljust(self._drawn))
            self._drawn = len(line)
        else:
            self._out.write(line + "\n")
        self._out.flush()

    def _line(self, done: int, of: int, took: float) -> str:
        here = done - self._first
        full = WIDTH * done // max(of, 1)
        line = f"{self._stage:>8} [{'#' * full}{'.' * (WIDTH - full)}] {done}/{of}"
        if self._stage == "decode" and here and took > 0:
            line += f"  {here * self._seconds / took:.0f}x real time"
        if here and done < of:
            left = round(took / here * (of - done))
            line += f"  {left // 60}:{left % 60:02} left" if left < 6000 else f"  {left / 3600:.1f} h left"
        return line

    def _clear(self, *, keep: bool = False) -> None:
        """Take the moving line away, or leave it and go below it."""
        if self._drawn:
            self._out.write("\n" if keep else "\r" + " " * self._drawn + "\r")
            self._out.flush()
        self._drawn = 0


COMPILING = "compiling for this machine, once: half a minute or so"
"""What a user is told who waits for that."""


@contextlib.contextmanager
def patience(words: str, tell: Callable[[str], object], *, after: float = 3.0) -> Iterator[threading.Timer]:
    """What has `words` told, from a thread, to whoever waits longer than `after` s; yields what can be cancelled before."""
    timer = threading.Timer(after, tell, [words])
    timer.daemon = True
    timer.start()
    try:
        yield timer
    finally:
        timer.cancel()


@contextlib.contextmanager
def listing() -> Iterator[Passed]:
    """What draws how far the listing of a large set is."""
    with Bar(0.0) as bar:
        yield lambda done, of: bar.show("list MB", done >> 20, of >> 20)
