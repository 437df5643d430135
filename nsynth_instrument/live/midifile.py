"""Standard MIDI files, read with suspicion and written plainly.

A file may say anything: lengths that reach past its end, no tempo, a thousand years of silence. mido reads the events, one
track at a time; what is around them is checked here, and what cannot be read is refused with a sentence. After the Standard
MIDI Files 1.0 specification (RP-001).
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import whole
from ..errors import DataError
from .midi import DATA_BYTES, message
from .state import Array

LARGEST = 32 << 20
"""bytes; a longer file is not music."""

LONGEST = 4 * 3600
"""s"""

EVENTS = 1_000_000
"""Ten times a dense half hour; a track counts as two. mido needs 4 us and 400 bytes for each: 32 MB of them would fill 4 GB."""

_TICKS = 960

_ENDLESS = re.compile(rb"[\x80-\xff]{512}")
"""Part of a number that takes mido the square of its length to read: RP-001 ends a number after four bytes, mido does not."""


@dataclass(frozen=True)
class Song:
    """frames: int64 (events,), ascending; messages: int64 (events,), see Parser; end: frame of the last track's end; rate: Hz."""

    frames: Array
    messages: Array
    end: int
    rate: int


def read(path: Path, *, rate: int) -> Song:
    """The channel messages of a MIDI file of format 0 or 1, each at its frame; after them everything is let go.

    Raises DataError for a file that is missing, damaged, too long, or of format 2.
    """
    try:
        with path.open("rb") as f:
            data = f.read(LARGEST + 1)
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror}); give the path of a MIDI file") from e
    if len(data) > LARGEST:
        raise DataError(f"{path} is larger than {LARGEST >> 20} MB, as no MIDI file is; give the path of a MIDI file")
    try:
        with _metas_as_bytes():
            return _song(data, rate)
    except (EOFError, struct.error) as e:
        raise DataError(f"{path} is damaged: it ends in the midst of an event; export it again") from e
    except OverflowError as e:
        raise DataError(f"{path} holds more than {EVENTS} events, as no song does; give the path of a song") from e
    except ValueError as e:
        raise DataError(f"{path} {e}; export it again") from e


def _song(data: bytes, rate: int) -> Song:
    if data[:4] != b"MThd":
        raise ValueError("is not a MIDI file")
    length, kind, _, division = struct.unpack_from(">IHHH", data, 4)
    if length < 6 or kind > 2 or division == 0:
        raise ValueError("is damaged in its header")
    if kind == 2:
        raise ValueError("holds separate patterns (format 2), not one song")
    events: list[tuple[int, int]] = []  # tick; message, or -tempo in us a quarter, or 0 for an end
    at = 8 + length
    tracks = 0
    budget = iter(range(EVENTS))
    while at + 8 <= len(data):
        name, size = struct.unpack_from(">4sI", data, at)
        at += 8
        if at + size > len(data):
            raise EOFError
        if name == b"MTrk":
            events += _track(data[at : at + size], budget)
            tracks += 1
        at += size
    if not tracks:
        raise ValueError("holds no track")
    events.sort(key=lambda e: e[0])  # stable: within a tick the order of the tracks stays
    smpte = division >> 15
    if smpte:  # frames a second and ticks a frame; tempo does not count. 29 means 30000 / 1001
        count = 256 - (division >> 8)
        if count not in (24, 25, 29, 30) or not division & 0xFF:
            raise ValueError("is damaged: its time code does not exist")
        numerator, denominator = (1001, 30000 * (division & 0xFF)) if count == 29 else (1, count * (division & 0xFF))
    else:
        numerator, denominator = 500_000, division * 1_000_000
    units = tick = frame = 0  # units: of 1 / denominator s, so that every frame is exact
    frames, messages = [], []
    for when, what in events:
        units += (when - tick) * numerator
        tick = when
        frame = (2 * units * rate + denominator) // (2 * denominator)
        if frame > LONGEST * rate:
            raise ValueError(f"lasts more than {LONGEST // 3600} h")
        if what > 0:
            frames.append(frame)
            messages.append(what)
        elif what < 0 and not smpte:
            numerator = -what
    for channel in range(16):
        for control in (64, 66, 123):
            frames.append(frame)
            messages.append(message(0xB0 | channel, control))
    return Song(np.array(frames, np.int64), np.array(messages, np.int64), frame, rate)


class _Counted(io.BytesIO):
    """Bytes of which mido may read only so many events: before each, and at a track's ends, it asks where it is."""

    def __init__(self, data: bytes, budget: Iterator[int]) -> None:
        super().__init__(data)
        self._budget = budget

    def tell(self) -> int:
        if next(self._budget, None) is None:
            raise OverflowError
        return super().tell()


@contextlib.contextmanager
def _metas_as_bytes() -> Iterator[None]:
    """Let mido take every meta event as bytes, and give it back its own reading after.

    Of itself it forgets the time before an event that it does not know (a program's name), and refuses whole songs for a key
    signature that is not one, though nothing here asks for the key.
    """
    from mido.midifiles import meta

    class Plain(meta.MetaSpec):  # type: ignore[misc]
        attributes = ("data",)
        defaults = (b"",)

        def decode(self, message: Any, data: list[int]) -> None:
            message.data = bytes(data)

        def encode(self, message: Any) -> list[int]:
            return list(message.data)

    known = [spec for name, spec in vars(meta).items() if name.startswith("MetaSpec_")]
    for kind in range(256):
        if kind != meta.MetaSpec_end_of_track.type_byte:
            meta.add_meta_spec(type(f"MetaSpec_{kind:02x}", (Plain,), {"type_byte": kind}))
    try:
        yield
    finally:
        for spec in known:
            meta.add_meta_spec(spec)


def _parsed(track: bytes, budget: Iterator[int]) -> list[Any]:
    """mido's messages of one track, each with the ticks before it."""
    import mido

    if _ENDLESS.search(track):
        raise ValueError("is damaged: a number in it has no end")
    data = struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, _TICKS, b"MTrk", len(track)) + track
    try:
        try:
            return list(mido.MidiFile(file=_Counted(data, budget)).tracks[0])
        except ValueError:  # an F7 event may hold any byte, which mido minds unless it may change them; none is used here
            return list(mido.MidiFile(file=_Counted(data, budget), clip=True).tracks[0])
    except (OSError, ValueError, LookupError, TypeError) as e:
        raise ValueError(f"is damaged ({str(e)[:80]})") from e


def _track(data: bytes, budget: Iterator[int]) -> Iterator[tuple[int, int]]:
    tick = 0
    for event in _parsed(data, budget):
        tick += event.time
        if event.type == "end_of_track":
            break
        if event.type == "51":
            tempo = int.from_bytes(event.data, "big")
            if len(event.data) != 3 or not tempo:
                raise ValueError("is damaged: a tempo in it is 0")
            yield tick, -tempo
        elif not event.is_meta and event.type != "sysex":
            status, *rest = event.bytes()
            if status >= 0xF0:
                raise ValueError(f"is damaged: it holds the byte {status:02X} where an event should be")
            yield tick, message(status, *rest)
    yield tick, 0


def write(path: Path, events: Sequence[tuple[float, int]]) -> None:
    """A MIDI file of format 0 from (s, message), ascending; 120 quarters a minute, 960 ticks a quarter. Whole or not at all."""
    import mido

    track = mido.MidiTrack()
    last = 0
    for seconds, word in events:
        tick = max(round(seconds * 2 * _TICKS), last)
        body = word.to_bytes(3, "little")[: 1 + DATA_BYTES[word & 0xF0]]
        track.append(mido.Message.from_bytes(body, time=tick - last))
        last = tick
    with whole(path) as part:
        mido.MidiFile(type=0, ticks_per_beat=_TICKS, tracks=[track]).save(part)
