"""One note of a soundfont, rendered by FluidSynth: dry, mono, and the same whatever was played before it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..audio import Audio, resample
from ..errors import DataError, MissingExtra, NsynthError
from ..notes import Note

RATE = 48000
"""Hz; FluidSynth renders at this rate, and soxr brings it to another."""

HELD = 3.0
"""s from key down to key up (Engel et al. 2017, section 3.1)."""

SECONDS = 4.0
"""s of a whole note; the last second is the release."""

_BLOCK = 64
"""frames; FluidSynth acts on events between blocks of this size. HELD and SECONDS are whole blocks at RATE."""


class Player:
    """FluidSynth with one soundfont; reverb, chorus, dither and live output off. A context manager.

    FluidSynth 2 keeps, in each mixing slot, the gain that its last voice left there, and glides from it over the
    first block of the next voice; so the first 64 frames of a note would depend on what sounded before. Every note
    is therefore primed: struck at gain 0 for one block and cut, which brings the slots it will use to 0.
    """

    def __init__(self, path: Path) -> None:
        """Open a soundfont; samples are loaded per preset. Raises MissingExtra, DataError."""
        try:
            import fluidsynth
        except ImportError as e:
            if getattr(e, "name", None) == "fluidsynth":
                raise MissingExtra("rendering a soundfont", "train") from e
            raise NsynthError("the FluidSynth library is not installed; see www.fluidsynth.org/download") from e
        write = ctypes.CDLL(fluidsynth.lib).fluid_synth_write_float
        pointer, number = ctypes.c_void_p, ctypes.c_int
        write.argtypes = [pointer, number, pointer, number, number, pointer, number, number]
        write.restype = number
        self._write = write
        options: dict[str, Any] = {
            "synth.reverb.active": 0,
            "synth.chorus.active": 0,
            "synth.polyphony": 256,
            "synth.dynamic-sample-loading": 1,
            "synth.lock-memory": 0,
        }
        self._synth = fluidsynth.Synth(gain=1.0, samplerate=float(RATE), channels=16, **options)
        self._font = self._synth.sfload(str(path))
        if self._font < 0:
            self._synth.delete()
            raise DataError(f"FluidSynth cannot load {path}; check that it plays elsewhere, or get it again")
        self._path = path
        self._both = np.zeros((2, round(SECONDS * RATE)), np.float32)

    def __enter__(self) -> Player:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._synth.delete()

    def select(self, bank: int, program: int) -> None:
        """Choose the preset for the notes to come. Raises DataError if the soundfont has none there."""
        if self._synth.program_select(0, self._font, bank, program) != 0:
            raise DataError(f"{self._path} has no preset at bank {bank}, program {program}")

    def play(self, note: Note, *, rate: int = RATE) -> Audio:
        """Audio (4 s * rate,) of a note held for 3 s, the mean of left and right, at `rate` Hz; not scaled."""
        self._quiet()
        self._synth.setting("synth.gain", 0.0)
        self._synth.noteon(0, note.pitch, note.velocity)
        self._render(0, _BLOCK)
        self._quiet()
        self._synth.setting("synth.gain", 1.0)
        self._synth.noteon(0, note.pitch, note.velocity)
        held = round(HELD * RATE)
        self._render(0, held)
        self._synth.noteoff(0, note.pitch)
        self._render(held, self._both.shape[1] - held)
        return resample(self._both.mean(axis=0), RATE, rate)

    def _quiet(self) -> None:
        self._synth.all_sounds_off(0)
        self._render(0, _BLOCK)

    def _render(self, at: int, frames: int) -> None:
        left, right = self._both[0].ctypes.data, self._both[1].ctypes.data
        if self._write(self._synth.synth, frames, left, at, 1, right, at, 1) != 0:
            raise NsynthError("FluidSynth stopped rendering; try again, or another version of FluidSynth")
