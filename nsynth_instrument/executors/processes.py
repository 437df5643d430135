"""Blocks made by several processes at once: threads would wait for Python's lock two fifths of their time.

The processes are started by a command line, not by `multiprocessing`, which would run again the main script of whoever calls.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from ..errors import NsynthError

Do = Callable[[range], range]
"""Makes a run, and says which it has made."""

MOST = 8
"""Processes, this one among them, however many cores there are: each takes a third of a GB."""
WORTH = 16
"""Items for which a process is worth its while: it takes a second and a half to get ready, in which another makes as many."""


class Helpers:
    """Processes that import `module` and run its `warm()` while this one gets ready, and then make blocks beside it. A context
    manager that ends them.

    One that does not start, or dies, is not missed: a thread of this process does its work.
    """

    def __init__(self, count: int, module: str) -> None:
        self._helpers = [_Helper(module) for _ in range(count)]
        self._ended = False

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Stop them, whatever they are at."""
        self._ended = True
        for helper in self._helpers:
            helper.end()

    def share(
        self, runs: Sequence[range], do: Do, workers: int, build: Callable[..., Do], *args: Any
    ) -> Generator[range, None, None]:
        """Have every run made, and yield each as it is done; then all helpers have ended. Raises what is raised anywhere.

        As many as `workers` make runs at once: helpers by what each one's own `build(*args)` returns, the others in threads of
        this process by `do`. Each begins with a stretch of its own, since neighbours have much in common; who is through takes
        over the last run of whoever has most left.
        """
        how = pickle.dumps((build, args))  # before threads may change any of it
        cuts = [len(runs) * i // workers for i in range(workers + 1)]
        left = [deque(runs[a:b]) for a, b in itertools.pairwise(cuts)]
        taking = threading.Lock()
        done: SimpleQueue[range | BaseException] = SimpleQueue()

        def take(own: deque[range]) -> range | None:
            with taking:
                most = own or max(left, key=len)
                return (own.popleft() if own else most.pop()) if most else None

        def work(i: int) -> None:
            try:
                mine = self._worker(self._helpers[i - 1], do, how) if 0 < i <= len(self._helpers) else do
                while (run := take(left[i])) is not None:
                    done.put(mine(run))
            except BaseException as e:  # raised again where it is waited for
                done.put(e)

        threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(workers)]
        try:
            for thread in threads:
                thread.start()
            for _ in runs:
                found = done.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            with taking:
                for some in left:
                    some.clear()
            self.end()
            for thread in threads:
                if thread.ident is not None:  # it has begun
                    thread.join()

    def _worker(self, helper: _Helper, do: Do, how: bytes) -> Do:
        """What has a helper make a run, as soon as it is ready to; once it is gone, `do`."""

        def asked(run: range) -> range:
            try:
                found: range = helper.ask(pickle.dumps(run))
            except _GoneError:
                if self._ended:
                    raise
                return do(run)
            return found

        try:
            helper.ask(how)
        except Exception:  # gone, or out of memory: what is wrong here, too, is said here
            return do
        return asked


class _GoneError(Exception):
    """A process is no more, or never was."""


class _Helper:
    """One process, asked for one thing at a time."""

    def __init__(self, module: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if "python" not in Path(sys.executable or "").name.lower():  # a frozen program, or one that embeds Python
            return
        # -P, since the folder that one is in may have other modules by these names.
        path = [p for p in sys.path if isinstance(p, str)]
        code = f"import sys; sys.path[:] = {path!r}; from {__name__} import serve; serve({module!r})"
        command, pipe = [sys.executable, "-P", "-c", code], subprocess.PIPE
        with contextlib.suppress(OSError):
            # In a group of its own: an interrupt from the terminal is for the parent.
            if sys.platform == "win32":
                alone = subprocess.CREATE_NEW_PROCESS_GROUP
                self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, creationflags=alone)
            else:
                self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, process_group=0)

    def ask(self, message: bytes) -> Any:
        """Its answer to what was pickled. Raises what was raised there, and _GoneError."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise _GoneError
        try:
            self._process.stdin.write(message)
            self._process.stdin.flush()
            well, answer = pickle.load(self._process.stdout)  # noqa: S301  # what we started
        except (OSError, ValueError, EOFError, pickle.UnpicklingError) as e:
            raise _GoneError from e
        if not well:
            raise answer
        return answer

    def end(self) -> None:
        """Stop it, whatever it is at."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # of what was not sent yet
                    pipe.close()  # type: ignore[union-attr]


def spare(items: int, threads: int | None, module: str) -> Helpers:
    """As many helpers as there are cores that `items` are worth, less one; threads: how many cores may be used."""
    return Helpers(max(0, min(threads or os.cpu_count() or 1, MOST, items // WORTH) - 1), module)


def serve(module: str) -> None:
    """Be a helper, until who started this process is no more."""
    messages: SimpleQueue[Any] = SimpleQueue()

    def listen() -> None:
        while True:
            try:
                messages.put(pickle.load(sys.stdin.buffer))  # noqa: S301  # from who started us
            except Exception:  # nobody is there, or went in the middle of a message
                os._exit(0)  # at once: a block that nobody waits for would come late, beside others

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed is no answer
    threading.Thread(target=listen, daemon=True).start()
    importlib.import_module(module).warm()
    do: Do | None = None
    while True:
        message = messages.get()
        answer: tuple[bool, Any]
        try:
            if do is None:
                build, args = message
                do, answer = build(*args), (True, None)
            else:
                answer = True, do(message)
        except BaseException as e:  # raised again by who asked
            answer = False, _sendable(e)
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)


def _sendable(error: BaseException) -> BaseException:
    """An error that comes out of a pipe as it went in, or one that says the same."""
    with contextlib.suppress(Exception):  # whatever its class makes of it
        if str(pickle.loads(pickle.dumps(error))) == str(error):  # noqa: S301
            return error
    return NsynthError(str(error)) if isinstance(error, NsynthError) else RuntimeError("".join(traceback.format_exception(error)))
