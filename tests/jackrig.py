"""A sound card and a keyboard made of software: jackd with its dummy driver, and one client that plays and listens.

Real parts all: MIDI goes in through JACK and RtMidi, sound comes out through PortAudio and JACK. In freewheel mode the
clock is the work itself, so the figures do not depend on how busy the machine is.
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
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

RATE, PERIOD = 48000, 128
SERVER = "nsynthtest"
MIDI_IN, AUDIO_OUT = "nsynth-instrument:in", "nsynth-instrument:out_0"
PORTAUDIO = ("--device", "Connection Kit")
"""Options for PortAudio's own way to JACK: the way that stands for every sound card. Its outputs are PortAudio:out_0 and _1."""

missing = [t for t in ("jackd", "jack_lsp") if shutil.which(t) is None]


def environment() -> dict[str, str]:
    """What every JACK client needs in order to meet this server, and to start none of its own."""
    return {**os.environ, "JACK_DEFAULT_SERVER": SERVER, "JACK_NO_START_SERVER": "1", "PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def server(*, period: int = PERIOD, realtime: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A running jackd. The name is fixed, so that what a crash leaves in /dev/shm is used again.

    realtime: its threads and its clients' come before all others, which needs the right to do so; for measuring.
    """
    os.environ.update(JACK_DEFAULT_SERVER=SERVER, JACK_NO_START_SERVER="1")
    p = subprocess.Popen(
        ["jackd", "-n", SERVER, "-p", "64", *(("-R", "-P", "70") if realtime else ("--no-realtime",)), "-S", "--silent", "-d", "dummy", "-r", str(RATE), "-p", str(period)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait(lambda: "system:playback_1" in ports(), 20, "jackd did not come up; is /dev/shm at least 64 MB?")
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


def wait(condition, seconds: float, sentence: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(sentence)
        time.sleep(0.05)


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
        line = self.process.stdout.readline()
        assert line == "ready\n", (line, self.text())
        return self

    def text(self) -> str:
        return "".join(self.lines)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.stop()
        self._talk.join(5)
        self.process.stdout.close()
        if self.process.stderr:
            self.process.stderr.close()
        if self.process.returncode and error[0] is None:
            raise AssertionError(f"exit code {self.process.returncode}: {self.text()}")


def drive(
    events: Sequence[tuple[int, bytes]], seconds: float, *, midi_to: str | None = MIDI_IN, audio_from: str = AUDIO_OUT, freewheel: bool = True,
    name: str = "driver",
) -> np.ndarray:  # fmt: skip
    """Send MIDI (frame, bytes) and record the sound, float32 (frames,), through one client: that fixes the order of the graph.

    With `midi_to` None nothing is connected to the MIDI port: who wants it finds it by name.
    """
    import jack

    client = jack.Client(name, no_start_server=True)
    midi = client.midi_outports.register("midi")
    audio = client.inports.register("audio")
    n = int(seconds * client.samplerate)
    buffer = np.zeros(n + 8192, np.float32)
    todo = sorted(events, key=lambda e: e[0])
    done = threading.Event()
    base, expected, gaps, at, go = -1, -1, 0, 0, False
    errors: list[Exception] = []

    @client.set_process_callback
    def process(frames: int) -> None:
        nonlocal base, expected, gaps, at
        try:
            midi.clear_buffer()
            now = client.last_frame_time
            if not go or done.is_set():
                return
            if base < 0:
                base = now
            now = (now - base) & 0xFFFFFFFF
            gaps += expected >= 0 and now != expected
            expected = now + frames
            while at < len(todo) and todo[at][0] < now + frames:
                midi.write_midi_event(max(0, todo[at][0] - now), todo[at][1])
                at += 1
            if now + frames <= len(buffer):
                buffer[now : now + frames] = audio.get_array()
            if now >= n:
                done.set()
        except Exception as e:
            errors.append(e)
            done.set()

    with client:
        if midi_to:
            client.connect(midi, midi_to)
        client.connect(audio_from, audio)
        time.sleep(0.2)
        if freewheel:
            client.set_freewheel(True)
        go = True
        ok = done.wait(seconds * 10 + 60)
        if freewheel:
            client.set_freewheel(False)
            time.sleep(0.1)
    client.close()
    assert ok, "the recording did not end"
    assert not errors, errors
    assert not freewheel or gaps == 0
    return buffer[:n]
