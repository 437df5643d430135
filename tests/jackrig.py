"""A sound card and a keyboard made of software: jackd with its dummy driver, and one client that plays and listens.

Real parts all: MIDI goes in through JACK, sound comes out through PortAudio and JACK. In freewheel mode the clock is the work
itself, so the figures do not depend on how busy the machine is; in real time the server waits for whoever is late.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jack

RATE, PERIOD = 48000, 128
SERVER = "nsynthtest"
MIDI_IN, AUDIO_OUT = "nsynth-instrument:in", "nsynth-instrument:out_0"
PORTAUDIO = ("--device", "Connection Kit")
"""Options for PortAudio's own way to JACK: the way that stands for every sound card. Its outputs are PortAudio:out_0 and _1."""

LIMIT = 120.0
"""s that a test waits for what must happen: only one that fails takes so long, so that a busy machine fails none."""

LATE = 2000
"""ms that the server waits for a client within a cycle. Its own limit is two cycles; what is late then is lost, which a test in real
time cannot bear on a busy machine."""

missing = [t for t in ("jackd", "jack_lsp") if shutil.which(t) is None]


def environment() -> dict[str, str]:
    """What every JACK client needs in order to meet this server, and to start none of its own."""
    return {**os.environ, "JACK_DEFAULT_SERVER": SERVER, "JACK_NO_START_SERVER": "1", "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def server(*, period: int = PERIOD, realtime: bool = False, sync: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """A running jackd. The name is fixed, so that what a crash leaves in /dev/shm is used again.

    realtime: its threads and its clients' come before all others, which needs the right to do so; for measuring.
    sync: each cycle ends when all clients have had their turn.
    """
    os.environ.update(JACK_DEFAULT_SERVER=SERVER, JACK_NO_START_SERVER="1")
    urgency = ("-R", "-P", "70") if realtime else ("--no-realtime", "-t", str(LATE))
    p = subprocess.Popen(
        ["jackd", "-n", SERVER, "-p", "64", *urgency, *(("-S",) if sync else ()), "--silent", "-d", "dummy", "-r", str(RATE), "-p", str(period)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait(lambda: "system:playback_1" in ports(), "jackd did not come up; is /dev/shm at least 64 MB?")
        yield p
    finally:
        p.terminate()
        try:
            p.wait(15)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def ports() -> list[str]:
    return subprocess.run(["jack_lsp"], capture_output=True, text=True, env=environment()).stdout.split("\n")


def wait(condition: Callable[[], object], sentence: str | Callable[[], str]) -> None:
    """Until it holds; else the test fails with the sentence."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(sentence if isinstance(sentence, str) else sentence())
        time.sleep(0.05)


@contextlib.contextmanager
def client(name: str) -> Iterator[jack.Client]:
    """A client that has left the server at the end, whatever is raised.

    One that is left to the garbage collector takes the interpreter with it: when a later server has begun, JACK's library has
    freed what the client of the earlier one is closed with.
    """
    import jack

    c = jack.Client(name, no_start_server=True)
    try:
        yield c
    finally:
        c.close()


@contextlib.contextmanager
def keyboard(name: str) -> Iterator[Callable[[bytes, Callable[[], object]], None]]:
    """A MIDI port NAME:out. The function that is given strikes it: sends a message until that is heard, as a condition tells.

    A message that comes while the graph is rewired may be lost, so it is sent again.
    """
    pending: list[bytes] = []
    with client(name) as c:
        out = c.midi_outports.register("out")

        @c.set_process_callback
        def process(frames: int) -> None:
            out.clear_buffer()
            while pending:
                out.write_midi_event(0, pending.pop(0))

        def strike(message: bytes, heard: Callable[[], object]) -> None:
            def again() -> object:
                if not pending:
                    pending.append(message)
                time.sleep(0.2)
                return heard()

            wait(again, "the keyboard is not heard")

        c.activate()
        yield strike


class App:
    """`nsynth-instrument play` in its own process; `lines` is what it says on stderr."""

    def __init__(
        self,
        *args: str,
        midi: Sequence[str] = ("--virtual",),
        command: Sequence[str] = (),
        stdin: int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
    ) -> None:
        command = command or (sys.executable, "-m", "nsynth_instrument", "play", "--midi-api", "jack", *midi, *args)
        self.process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment(),
            cwd=Path(__file__).parent.parent,
        )
        self.lines: list[str] = []
        self._talk = threading.Thread(target=lambda: self.lines.extend(self.process.stderr or ()), daemon=True)
        self._talk.start()

    def __enter__(self) -> App:
        try:
            line = self.process.stdout.readline()
            assert line == "ready\n", (line, self.text())
        except BaseException:
            self._end()
            raise
        return self

    def text(self) -> str:
        return "".join(self.lines)

    def said(self, text: str) -> None:
        """Wait until it says so."""
        wait(lambda: text in self.text(), self.text)

    def stop(self) -> int:
        """Ask it to end, and wait until it has said its last word; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends, and what it said last has been read: on a busy machine that is later; its exit code."""
        code = self.process.wait(LIMIT)
        self._talk.join(LIMIT)
        return code

    def _end(self) -> None:
        """However it stands with the process, nothing is left of it."""
        self.process.kill()
        self.process.wait()
        self._talk.join(LIMIT)
        self.process.stdout.close()
        if self.process.stderr:
            self.process.stderr.close()

    def __exit__(self, *error: object) -> None:
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            self._end()
        if self.process.returncode and error[0] is None:
            raise AssertionError(f"exit code {self.process.returncode}: {self.text()}")


def drive(
    events: Sequence[tuple[int, bytes]], seconds: float, *, midi_to: str | None = MIDI_IN, audio_from: str = AUDIO_OUT, freewheel: bool = True,
    name: str = "driver", meanwhile: Callable[[], object] | None = None,
) -> np.ndarray:  # fmt: skip
    """Send MIDI (frame, bytes) and record the sound, float32 (frames,), through one client: that fixes the order of the graph.

    Frames are those that JACK has asked for: where a busy machine holds up its clock, nothing is lost. With `midi_to` None nothing
    is connected to the MIDI port: who wants it finds it by name. meanwhile: called when the recording has begun.
    """
    with client(name) as c:
        midi = c.midi_outports.register("midi")
        audio = c.inports.register("audio")
        n = int(seconds * c.samplerate)
        buffer = np.zeros(n + 8192, np.float32)
        todo = sorted(events, key=lambda e: e[0])
        done = threading.Event()
        cycles, now, expected, gaps, at, go = 0, 0, -1, 0, 0, False
        errors: list[Exception] = []

        @c.set_process_callback
        def process(frames: int) -> None:
            nonlocal cycles, now, expected, gaps, at
            try:
                cycles += 1
                midi.clear_buffer()
                if not go or done.is_set():
                    return
                clock = c.last_frame_time
                gaps += expected not in (-1, clock)
                expected = (clock + frames) & 0xFFFFFFFF
                while at < len(todo) and todo[at][0] < now + frames:
                    midi.write_midi_event(max(0, todo[at][0] - now), todo[at][1])
                    at += 1
                if now + frames <= len(buffer):
                    buffer[now : now + frames] = audio.get_array()
                now += frames
                if now >= n:
                    done.set()
            except Exception as e:
                errors.append(e)
                done.set()

        def settle() -> None:
            """What was asked of the server holds from one of the next cycles on."""
            since = cycles
            wait(lambda: cycles > since + 16, "JACK stands still")

        c.activate()
        if midi_to:
            c.connect(midi, midi_to)
        c.connect(audio_from, audio)
        settle()
        if freewheel:
            c.set_freewheel(True)
        go = True
        if meanwhile:
            meanwhile()
        ok = done.wait(seconds * 10 + LIMIT)
        if freewheel:
            c.set_freewheel(False)
            settle()
    assert ok, "the recording did not end"
    assert not errors, errors
    assert not freewheel or gaps == 0
    return buffer[:n]
