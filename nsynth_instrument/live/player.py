"""The sound card: devices by name, the stream that plays the engine, and what to do when it vanishes."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeviceError, UnknownName
from . import libjack
from .engine import Engine
from .jack import JackOutput
from .midifile import Song
from .state import TICK, Array

CURE = "plug one in, name one with --device, or render without one: --midi-file SONG --out FILE"

PREFERRED = ("ASIO", "Windows WASAPI", "Core Audio", "ALSA")
"""PortAudio's host APIs by latency; the first that has an output wins. Before them comes JACK, without PortAudio, if it runs."""

PATIENCE = 4
"""Looks at a stream, twice a second, that may find no new block; then its device is gone."""

TAIL = 60.0
"""s; a release that lasts longer after the end of a song is cut."""


@dataclass(frozen=True)
class Device:
    """An output: index in PortAudio, or -1 for JACK without it; name, back end, channels, own rate in Hz, low latency in s."""

    index: int
    name: str
    api: str
    channels: int
    rate: int
    latency: float

    @property
    def label(self) -> str:
        """What --device matches part of."""
        return f"{self.name}, {self.api}" if self.index >= 0 else self.name


def _sounddevice() -> Any:
    try:
        import sounddevice
    except OSError as e:
        raise DeviceError(f"PortAudio is missing: apt install libportaudio2 (or your system's package); or {CURE}") from e
    return sounddevice


def devices() -> list[Device]:
    """All outputs, the default first. Raises DeviceError when PortAudio is not installed and no JACK server runs."""
    ours = _jack()
    try:
        return ours + _portaudio()
    except DeviceError:
        if ours:
            return ours
        raise


def _jack() -> list[Device]:
    server = libjack.clock()
    return [Device(-1, JackOutput.label, "JACK", 2, server[0], server[1] / server[0])] if server else []


def _portaudio() -> list[Device]:
    sd = _sounddevice()
    apis = sd.query_hostapis()
    found = [
        Device(
            i,
            d["name"],
            apis[d["hostapi"]]["name"],
            d["max_output_channels"],
            int(d["default_samplerate"]),
            d["default_low_output_latency"],
        )
        for i, d in enumerate(sd.query_devices())
        if d["max_output_channels"] > 0
    ]
    defaults = [a["default_output_device"] for a in apis]

    def rank(d: Device) -> tuple[int, bool]:
        return (PREFERRED.index(d.api) if d.api in PREFERRED else len(PREFERRED), d.index not in defaults)

    return sorted(found, key=rank)


def choose(name: str | None) -> Device:
    """The output whose label contains `name`, or the default. Raises DeviceError when there is none at all, else UnknownName.

    PortAudio is not even loaded when JACK will do: it would keep a client of its own, and fall with the server at the end.
    """
    found = _jack()
    for more in (list, _portaudio):
        found += more()
        for d in found:
            if name is None or name.lower() in d.label.lower():
                return d
    if not found:
        raise DeviceError(f"there is no audio output on this machine; {CURE}")
    raise UnknownName("audio output", str(name), [d.label for d in found])


def output(engine: Engine, *, device: str | None = None, block: int = 0) -> Output | JackOutput:
    """The output chosen by part of its name, playing. Raises DeviceError when it does not open, UsageError for an odd block."""
    if choose(device).index < 0:
        return JackOutput(engine, block=block)
    return Output(engine, device=device, block=block)


class Output:
    """A stream that plays an engine from compiled code: PortAudio calls the mixer, and Python has no part in it."""

    def __init__(self, engine: Engine, *, device: str | None = None, block: int = 0) -> None:
        """device: part of a label, None for the default; block: frames, 0 for what the device likes best.

        Raises DeviceError when the device does not exist or does not open.
        """
        self.engine = engine
        self._name = device
        self._block = block
        self._stream: Any = None
        self._seen = (0, 0)  # blocks, and how often watch() has found no more
        self._lost = False
        self._open()

    def _open(self) -> None:
        import cffi  # type: ignore[import-untyped]

        sd = _sounddevice()
        engine = self.engine
        self.device = choose(self._name)
        ffi = cffi.FFI()
        channels = min(self.device.channels, 2)
        engine.globals["channels"] = channels
        error: Exception | None = None
        for rate in dict.fromkeys((engine.rate, self.device.rate)):
            engine.globals["rate"], engine.globals["ratio"] = rate, engine.rate / rate
            try:
                self._stream = sd._StreamBase(  # the class that sounddevice offers for callbacks in C
                    "output",
                    samplerate=rate,
                    blocksize=self._block,
                    device=self.device.index,
                    channels=channels,
                    dtype="float32",
                    latency="low",
                    callback=ffi.cast("void *", engine.callback),
                    userdata=ffi.cast("void *", engine.address),
                    clip_off=True,
                    dither_off=True,
                )
                self._stream.start()
                engine.begun()
                self._seen = (int(engine.globals["blocks"]), 0)
                return
            except sd.PortAudioError as e:
                self.close()
                error = e
        raise DeviceError(f"{self.device.label} does not open ({error}); close what uses it, or {CURE}") from error

    @property
    def latency(self) -> float:
        """s from a key to the loudspeaker at most, as far as the device tells: what it granted, and a block."""
        block = int(self.engine.globals["block"]) / float(self.engine.globals["rate"])
        return block + float(self._stream.latency) if self._stream else 0.0

    @property
    def load(self) -> float:
        """Part of the time between two blocks that the mixer takes, 0..1, as PortAudio measures it."""
        return float(self._stream.cpu_load) if self._stream else 0.0

    @property
    def label(self) -> str:
        """Of the device."""
        return self.device.label

    @property
    def stuck(self) -> bool:
        """Whether PortAudio never came back from closing: its threads run on, and a process that ends in the usual way takes the
        mixer from under them."""
        return self._lost

    def watch(self) -> str | None:
        """Look after the stream, about twice a second: a sentence when the device vanished or came back."""
        if self._stream is None:
            return None if self._lost else self._again()
        before, still = self._seen
        blocks = int(self.engine.globals["blocks"])
        self._seen = (blocks, still + 1 if blocks == before else 0)
        if self._stream.active and self._seen[1] < PATIENCE:  # not by the clock: a process that was stopped has missed no block
            return None
        gone = self.device.label
        self.close()
        self.engine.panic()
        if self._lost:
            return f"{gone} is gone, and PortAudio with it; end and play again"
        return f"{gone} is gone; waiting for it"

    def _again(self) -> str | None:
        sd = _sounddevice()
        try:
            sd._terminate()  # PortAudio lists devices only when it starts
            sd._initialize()
            self._open()
        except (DeviceError, UnknownName, sd.PortAudioError):
            return None
        return f"playing on {self.device.label} again"

    def close(self) -> None:
        """Stop and let go of the device; it must be done before the process ends, or a JACK server hangs."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            closer = threading.Thread(target=stream.close, daemon=True)  # PortAudio never returns from a dead JACK server
            closer.start()
            closer.join(5.0)
            if closer.is_alive():
                self._lost = True
                atexit.unregister(_sounddevice()._exit_handler)


def render(engine: Engine, song: Song, *, block: int = 16 * TICK) -> Iterator[Array]:
    """Play a song without a device: float32 (block, channels) after block, until its last voice has died away.

    Bit for bit the same each time on one kind of processor.
    """
    engine.play(song.frames, song.messages)
    out = np.zeros((block, int(engine.globals["channels"])), np.float32)
    end = song.end + int(TAIL * engine.rate)
    while engine.globals["frame"] < end:
        engine.fill(out)
        yield out
        if engine.globals["frame"] > song.end and engine.globals["sounding"] == 0:
            break
