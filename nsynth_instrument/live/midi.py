"""MIDI in: bytes to messages, and the ports they come from, by name, as they come and go."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DeviceError, UnknownName, UsageError

CLIENT = "nsynth-instrument"
"""Our name among MIDI and JACK clients; the virtual port is called `in`."""

APIS = {"alsa": "API_LINUX_ALSA", "coremidi": "API_MACOSX_CORE", "winmm": "API_WINDOWS_MM", "jack": "API_UNIX_JACK"}
"""Our names of RtMidi's back ends, in the order in which they are tried: the system's own, where keyboards are, before JACK."""

DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
"""Data bytes that follow each status."""


class Parser:
    """A stream of MIDI 1.0 bytes -> channel messages, whatever the stream holds.

    Running status is kept across real-time bytes; system messages end it; sysex and stray data bytes are dropped.
    """

    def __init__(self) -> None:
        self._status = 0
        self._data: list[int] = []

    def feed(self, data: Sequence[int]) -> Iterator[int]:
        """Messages (status | data 1 << 8 | data 2 << 16) that these bytes complete."""
        for byte in data:
            if byte >= 0xF8:
                continue
            if byte >= 0x80:
                self._status = byte if byte < 0xF0 else 0
                self._data = []
            elif self._status:
                self._data.append(byte)
                if len(self._data) == DATA_BYTES[self._status & 0xF0]:
                    yield self._status | self._data[0] << 8 | (self._data[1] << 16 if len(self._data) > 1 else 0)
                    self._data = []


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep C libraries (ALSA, JACK, PortAudio) from talking on stderr, from their own threads too; Python's stderr goes on."""
    sys.stderr.flush()
    python, before = sys.stderr, os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, AttributeError):  # a stream that is no file does not hear them anyway
            if python.fileno() == 2:
                ours = stack.enter_context(os.fdopen(os.dup(2), "w", 1, python.encoding, python.errors))
                sys.stderr = ours
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            os.close(nothing)
            sys.stderr = python


def message(status: int, a: int = 0, b: int = 0) -> int:
    """A channel message as one number."""
    return status | a << 8 | b << 16


def let_go(send: Callable[[int], object], channels: int = 0xFFFF) -> None:
    """End what a vanished keyboard holds on channels (bits): reset controllers, which lifts the pedals; then all notes off."""
    for channel in range(16):
        if channels >> channel & 1:
            for control in (121, 123):
                send(message(0xB0 | channel, control))


@dataclass
class _Port:
    """An open port: RtMidi's object, its parser, and the channels it has used, as bits."""

    midi: Any
    parser: Parser = field(default_factory=Parser)
    channels: int = 0


def candidates(compiled: Collection[int], name: str | None = None) -> list[tuple[str, int]]:
    """Names and RtMidi numbers of the back ends to try, in order, of those that RtMidi was compiled with.

    RtMidi takes another one when asked for one that it does not have, so it must not be asked. Raises UnknownName for a name
    that is not in APIS.
    """
    if name is not None and name not in APIS:
        raise UnknownName("MIDI back end", name, APIS)
    known = ((ours, int(getattr(_rtmidi(), theirs, -1))) for ours, theirs in APIS.items() if name in (None, ours))
    return [(ours, number) for ours, number in known if number in compiled]


def backend(name: str | None) -> tuple[str, int]:
    """Name and RtMidi number of the back end asked for, or of the first that answers.

    Raises DeviceError when none does, UnknownName for a name that is not in APIS.
    """
    found = candidates(_rtmidi().get_compiled_api(), name)
    for ours, number in found:
        try:
            with hushed():
                _open(number).delete()
        except OSError:
            continue
        return ours, number
    tried = ", ".join(ours for ours, _ in found) or "none is built in"
    what = f"MIDI back end {name}" if name else f"MIDI back end ({tried})"
    raise DeviceError(f"no {what} answers here; start it, play with --keys, or render with --midi-file SONG --out FILE")


def _rtmidi() -> Any:
    try:
        import rtmidi
    except ImportError as e:
        raise DeviceError("MIDI needs python-rtmidi, which does not load here; reinstall it with pip, or play with --keys") from e
    return rtmidi


def _open(api: int) -> Any:
    return _rtmidi().MidiIn(api, name=CLIENT)


def names(api: int) -> list[str]:
    """Names of the ports that send, as the back end gives them; equal ones are numbered from the second on."""
    try:
        with hushed():
            probe = _open(api)
            try:
                found = probe.get_ports()
            finally:
                probe.delete()
    except OSError:
        return []  # the back end has gone; it may come back
    seen: dict[str, int] = {}
    out = []
    for name in found:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return out


class Ports:
    """Every port wanted, opened when it appears and let go when it vanishes; a vanished port leaves no note sounding."""

    def __init__(
        self, send: Callable[[int], object], *, api: str | None = None, port: str | None = None, virtual: bool = False
    ) -> None:
        """`send` takes each message, on RtMidi's thread. port: part of a name, None = all; virtual: a port of our own instead.

        Raises DeviceError when the back end or the named port is missing, UsageError for a virtual port where there are none.
        """
        if virtual and [name for name, _ in candidates(_rtmidi().get_compiled_api(), api)] == ["winmm"]:
            raise UsageError("Windows has no virtual MIDI ports; install loopMIDI, make a port there, choose it with --midi")
        self.name, self._api = backend(api)
        self._send = send
        self._wanted = port.lower() if port else None
        self._open: dict[str, _Port] = {}
        self._virtual = virtual
        if virtual:
            self._listen(f"{CLIENT}:in", None)
            return
        found = names(self._api)
        if self._wanted and not any(self._wants(n) for n in found):
            raise UnknownName("MIDI port", str(port), found)
        self.poll()

    @property
    def open(self) -> list[str]:
        """Names of the ports that are listened to."""
        return list(self._open)

    def _wants(self, name: str) -> bool:
        if self._wanted:
            return self._wanted in name.lower()
        return CLIENT not in name and "midi through" not in name.lower()

    def poll(self) -> list[str]:
        """Open what has appeared, close what has vanished; sentences for the player. No event tells of it, so ask often."""
        if self._virtual:
            return []
        found = names(self._api)
        news = []
        for name in [n for n in self._open if n not in found]:
            self._drop(name)
            news.append(f"{name} is gone")
        for index, name in enumerate(found):
            if name not in self._open and self._wants(name):
                try:
                    self._listen(name, index)
                except OSError:
                    continue  # taken by another program, or gone again; the next poll tries anew
                news.append(f"listening to {name}")
        return news

    def _listen(self, name: str, index: int | None) -> None:
        midi = _open(self._api)
        midi.ignore_types(sysex=True, timing=True, active_sense=True)
        port = _Port(midi)

        def hear(event: tuple[Sequence[int], float], data: object = None) -> None:
            for word in port.parser.feed(event[0]):
                port.channels |= 1 << (word & 0x0F)
                self._send(word)

        midi.set_callback(hear)
        if index is None:
            midi.open_virtual_port("in")
        else:
            midi.open_port(index, "in")
        self._open[name] = port

    def _drop(self, name: str) -> None:
        port = self._open.pop(name)
        _close(port.midi)
        let_go(self._send, port.channels)

    def close(self) -> None:
        """Let go of every port."""
        for name in list(self._open):
            self._drop(name)


def _close(midi: Any) -> None:
    try:
        midi.cancel_callback()
        midi.close_port()
        midi.delete()
    except OSError as e:
        print(f"a MIDI port did not close: {e}", file=sys.stderr)
