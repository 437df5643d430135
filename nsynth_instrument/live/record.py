"""Recording: the sound as WAV, or the messages as a MIDI file."""

from __future__ import annotations

import contextlib
import wave
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import whole
from ..errors import UsageError
from . import midifile
from .engine import Engine
from .state import RECORD, RING, Array

LIMIT = (1 << 32) - (1 << 20)
"""bytes of a WAV file, whose lengths have 32 bits."""


class _Tried(Exception):  # noqa: N818
    pass


def check(path: Path) -> None:
    """Refuse what could otherwise only fail after the music.

    Raises UsageError for a name that ends neither in .wav nor in .mid, NsynthError where no file can be written.
    """
    if path.suffix.lower() not in (".wav", ".mid"):
        raise UsageError(f"--record {path}: the name must end in .wav (the sound) or .mid (the notes)")
    if path.is_dir():
        raise UsageError(f"--record {path} is a folder; name a file in it")
    with contextlib.suppress(_Tried), whole(path):
        raise _Tried  # which leaves no file behind


class WavWriter:
    """24-bit WAV, written as it comes; appears under its name when the block that it manages ends well, or at `close`."""

    def __init__(self, path: Path, *, rate: int, channels: int) -> None:
        self._stack = contextlib.ExitStack()
        part = self._stack.enter_context(whole(path))
        # without a buffer: one that a full disk does not take would be tried again, and fail again, at the end
        raw = self._stack.enter_context(part.open("wb", buffering=0))
        self._wave = self._stack.enter_context(wave.open(raw, "wb"))  # noqa: SIM115
        self._wave.setnchannels(channels)
        self._wave.setsampwidth(3)
        self._wave.setframerate(rate)
        self._bytes = 0

    def write(self, block: Array) -> bool:
        """Append float32 (frames, channels); False beyond 4 GB, where nothing more is written. Raises OSError on a full disk."""
        steps = np.clip(np.rint(block.astype(np.float64) * 8388607.0), -8388608, 8388607).astype("<i4")
        raw = steps.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
        if self._bytes + len(raw) > LIMIT:
            return False
        self._bytes += len(raw)
        self._wave.writeframesraw(raw)
        return True

    def close(self) -> None:
        """Complete the file and give it its name."""
        self._stack.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


class Recorder:
    """Takes down what an engine plays. The callback only copies to a tape in memory; `poll` carries it to the file.

    What cannot be kept never stops the music: `lost` counts its frames or messages.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        """path: as `check` has it, .wav for the sound, .mid for the messages."""
        self._engine, self._path = engine, path
        self._wav: WavWriter | None = None
        self._events: list[tuple[float, int]] = []
        self._done = int(engine.globals["frame"])
        self._seconds = 0.0
        self._heard = int(engine.globals["heard"])
        self._rate = float(engine.globals["rate"])
        self._full = False
        self.lost = 0
        if path.suffix.lower() == ".wav":
            self._wav = WavWriter(path, rate=int(self._rate), channels=2)
            engine.globals["record"] = 1

    def poll(self) -> None:
        """Carry what has been played to the file; the tape holds 11 s and 4096 messages, so once a second is plenty."""
        if self._wav is None:
            self._poll_messages()
        else:
            self._poll_sound(self._wav)

    def _poll_messages(self) -> None:
        g = self._engine.globals
        now, end, rate = int(g["heard"]), int(g["frame"]), float(g["rate"])
        first = max(self._heard, now - RING)
        self.lost += first - self._heard
        for i in range(first, now):
            frame, word = self._engine.heard[i % RING].tolist()
            self._events.append((self._seconds + (frame - self._done) / rate, word))
        self._seconds += (end - self._done) / rate  # a card that comes back may have another rate
        self._heard, self._done = now, end

    def _poll_sound(self, wav: WavWriter) -> None:
        end = int(self._engine.globals["frame"])
        if self._full or self._engine.globals["rate"] != self._rate:
            self.lost += end - self._done
            self._done = end
            return
        first = max(self._done, end - (RECORD - 8192))
        self.lost += first - self._done
        while first < end:
            at = first % RECORD
            n = min(end - first, RECORD - at)
            try:
                self._full = not wav.write(self._engine.tape[at : at + n])
            except OSError:
                self._full = True
            if self._full:
                self.lost += end - first
                break
            first += n
        self._done = end

    def close(self) -> None:
        """Complete the file."""
        self.poll()
        if self._wav is not None:
            self._engine.globals["record"] = 0
            self._wav.close()
        else:
            midifile.write(self._path, self._events)
