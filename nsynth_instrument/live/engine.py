"""The engine as Python sees it: packs in, messages in, blocks of sound out."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import UnknownName, UsageError
from .samples import Sound
from .state import (
    CHANNEL,
    FREE,
    GLOBAL,
    GUARD,
    LOUDNESS,
    MORPH,
    NOTHING,
    PACK,
    RECORD,
    RING,
    VIBRATO,
    VOICE,
    Array,
    sinc,
)

AFTERTOUCH = {"none": NOTHING, "vibrato": VIBRATO, "morph": MORPH, "loudness": LOUDNESS}


@dataclass(frozen=True)
class Settings:
    """How the engine plays.

    voices: limit, 1..1024; gain: dB; attack, decay: s; sustain: 0..1; release: s, or None for each pack's own; channel: 1..16, or
    None for all; mpe: member channels of the MPE lower zone, 0 = off; aftertouch: a key of AFTERTOUCH; tune: cents.
    """

    voices: int = 256
    gain: float = -8.0
    attack: float = 0.0
    decay: float = 0.0
    sustain: float = 1.0
    release: float | None = None
    channel: int | None = None
    mpe: int = 0
    aftertouch: str = "vibrato"
    tune: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.voices <= 1024:
            raise UsageError(f"{self.voices} voices cannot be; use 1..1024")
        if not -60.0 <= self.gain <= 24.0:
            raise UsageError(f"a gain of {self.gain} dB cannot be; use -60..24")
        for name in ("attack", "decay", "release"):
            if not 0.0 <= (getattr(self, name) or 0.0) <= 60.0:
                raise UsageError(f"{name} must be 0..60 s")
        if not 0.0 <= self.sustain <= 1.0:
            raise UsageError("sustain must be 0..1")
        if self.channel is not None and not 1 <= self.channel <= 16:
            raise UsageError(f"there is no MIDI channel {self.channel}; use 1..16")
        if not 0 <= self.mpe <= 15:
            raise UsageError("an MPE zone has 1..15 member channels")
        if not -1200.0 <= self.tune <= 1200.0:
            raise UsageError("tune must be -1200..1200 cents")
        if self.aftertouch not in AFTERTOUCH:
            raise UnknownName("aftertouch", self.aftertouch, AFTERTOUCH)


class Engine:
    """Voices, controllers and samples in one block of memory that a callback may play from.

    Either call `fill` from Python, or hand `callback` and `address` to PortAudio; never both at once.

    To look at while it plays: voices, hands: the records VOICE and CHANNEL (16,); tape: float32 (RECORD, 2), a ring of what was
    played; heard: int64 (RING, 2), a ring of the frames and messages that were obeyed.
    """

    def __init__(self, sounds: Sequence[Sound], *, settings: Settings | None = None, channels: int = 2) -> None:
        """All sounds share one rate. Compiles the mixer if it is not yet in numba's cache."""
        from .mixer import callback

        settings = settings or Settings()
        if not sounds or len({s.rate for s in sounds}) != 1:
            raise UsageError("an engine plays one pack or more, all loaded at one rate")
        self.sounds = tuple(sounds)
        self.settings = settings
        self.rate = sounds[0].rate
        self._lock = threading.Lock()
        self._head = 0
        self._memory = _join(sounds, settings)
        self.voices, self.hands, self.tape = self._memory["voice_at"], self._memory["channel_at"], self._memory["tape_at"]
        self.heard = self._memory["heard_at"]
        self._globals = np.zeros(1, GLOBAL)
        self.address = int(self._globals.ctypes.data)
        g = self.globals
        for name, array in self._memory.items():
            g[name] = array.ctypes.data
        g["slots"], g["packs"], g["voices"] = len(self.voices), len(sounds), settings.voices
        g["rate"], g["ratio"], g["channels"], g["channel"] = self.rate, 1.0, channels, -1
        g["gain"], g["tune"] = 10.0 ** (settings.gain / 20.0), settings.tune / 100.0
        g["attack"], g["decay"], g["sustain"] = settings.attack, settings.decay, settings.sustain
        g["release"] = -1.0 if settings.release is None else settings.release
        g["aftertouch"], g["limit"], g["panic"] = AFTERTOUCH[settings.aftertouch], 1.0, 1
        self.hands["volume"], self.hands["pan"], self.hands["range_semis"] = 127, 64, 2
        self.callback = callback()[0]
        address, unsigned = ctypes.c_void_p, ctypes.c_ulong
        call = ctypes.CFUNCTYPE(ctypes.c_int, address, address, unsigned, address, unsigned, address)
        self._call = call(self.callback)
        self.fill(np.zeros((0, channels), np.float32))
        if settings.mpe:  # the MPE configuration message, as a keyboard would send it
            for number, value in ((101, 0), (100, 6), (6, settings.mpe)):
                self.send(0xB0 | number << 8 | value << 16)
        self.fill(np.zeros((0, channels), np.float32))
        g["channel"] = (settings.channel or 0) - 1

    @property
    def globals(self) -> Array:
        """The GLOBAL record, live."""
        return self._globals[0]  # type: ignore[no-any-return]

    def send(self, message: int) -> bool:
        """Queue a channel message (status | data 1 << 8 | data 2 << 16) for the next block, from any thread.

        False when nothing has been played for so long that the queue is full; then everything is silenced at the next block, lest
        a lost note-off leaves a note sounding.
        """
        with self._lock:
            if self._head - int(self.globals["tail"]) >= RING:
                self.globals["panic"] = 1
                return False
            # number and message in one aligned word: the mixer sees both or neither, whatever the memory order
            self._memory["ring_at"][self._head % RING] = (self._head + 1) << 32 | (message & 0xFFFFFF)
            self._head += 1
        return True

    def play(self, frames: Array, messages: Array) -> None:
        """Lay up a song: int64 frames, ascending, counted from the engine's start, and as many messages.

        Not while a stream runs.
        """
        self._memory["song_at"] = np.ascontiguousarray(np.stack([frames, messages], axis=1), np.int64).reshape(-1, 2)
        self.globals["song_at"] = self._memory["song_at"].ctypes.data
        self.globals["events"], self.globals["event"] = len(frames), 0

    def fill(self, out: Array) -> None:
        """Play the next block into float32 (frames, channels), C-contiguous, full scale +-1. Other threads run meanwhile."""
        assert out.dtype == np.float32 and out.flags.c_contiguous and out.shape[1] == self.globals["channels"]
        self._call(None, out.ctypes.data, len(out), None, 0, self.address)

    def prefetch(self) -> None:
        """Touch what sounding voices will read within a second, if it is memory-mapped, so that the callback need not wait."""
        if not any(s.mapped for s in self.sounds):
            return
        samples = self._memory["sample_at"]
        for voice in self.voices[self.voices["state"] != FREE]:
            for index, pos in zip(voice["sample"], voice["pos"], strict=True):
                row = samples[index]
                if index < 0 or not row["mapped"]:
                    continue
                looped = row["loop_end"] > 0
                if row["head"]:
                    _touch(row["body"], pos, min(pos + self.rate, row["loop_end"] if looped else row["frames"]))
                if looped:
                    first = max(pos, row["switch"])
                    _touch(row["after"], first, min(first + self.rate, row["frames"]))

    def begun(self) -> bool:
        """Wait until a device has asked for two more blocks; False when it does not within 2 s."""
        before, end = int(self.globals["blocks"]), time.monotonic() + 2.0
        while self.globals["blocks"] < before + 2:
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True

    def panic(self) -> None:
        """Silence everything at the next block, within 5 ms and without a click."""
        self.globals["panic"] = 1

    @property
    def morph(self) -> tuple[float, float]:
        """Where the hands that moved last steer to along both axes (mod wheel, breath), 0..1."""
        hand = self.hands[0 if self.globals["mpe"] else int(self.globals["last_channel"])]
        return float(hand["wheel"]) / 127.0, float(hand["breath"]) / 127.0


def _touch(address: int, first: float, last: float) -> None:
    """Read a float of every page between two frames."""
    n = int(last) - int(first)
    if n > 0:
        start = int(address) + 4 * (int(first) + GUARD)
        np.ctypeslib.as_array((ctypes.c_float * n).from_address(start))[::1024].sum()


def _join(sounds: Sequence[Sound], settings: Settings) -> dict[str, Array]:
    """One set of tables out of those of all packs, by the names of the fields that hold their addresses."""
    packs = np.zeros(len(sounds), PACK)
    cells, layers = [s.cells.copy() for s in sounds], [s.layers.copy() for s in sounds]
    cell = layer = sample = axis = 0
    for i, s in enumerate(sounds):
        packs[i] = cell, s.nx, s.ny, axis, s.pack.release
        cells[i]["first"] += layer
        layers[i]["sample"] += sample
        cell, layer, sample, axis = cell + len(s.cells), layer + len(s.layers), sample + len(s.samples), axis + len(s.axes)
    return {
        "voice_at": np.zeros(2 * settings.voices, VOICE),
        "channel_at": np.zeros(16, CHANNEL),
        "pack_at": packs,
        "axis_at": np.concatenate([s.axes for s in sounds]),
        "cell_at": np.concatenate(cells),
        "layer_at": np.concatenate(layers),
        "sample_at": np.concatenate([s.samples for s in sounds]),
        "ring_at": np.zeros(RING, np.int64),
        "port_at": np.zeros(RING, np.int64),
        "song_at": np.zeros((0, 2), np.int64),
        "sinc_at": sinc(),
        "tape_at": np.zeros((RECORD, 2), np.float32),
        "heard_at": np.zeros((RING, 2), np.int64),
    }
