"""Standard MIDI files, read with suspicion and written plainly.

A file may say anything: lengths that reach past its end, no tempo, a thousand years of silence. What is read here is
checked byte by byte, and what cannot be is refused with a sentence. After the Standard MIDI Files 1.0 specification (RP-001).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import whole
from ..errors import DataError
from .midi import DATA_BYTES, message
from .state import Array

LARGEST = 32 << 20
"""bytes; a longer file is not music."""

LONGEST = 4 * 3600
"""s"""

_TICKS = 960


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
        return _song(data, rate)
    except (IndexError, struct.error) as e:
        raise DataError(f"{path} is damaged: it ends in the midst of an event; export it again") from e
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
    while at + 8 <= len(data):
        name, size = struct.unpack_from(">4sI", data, at)
        at += 8
        if at + size > len(data):
            raise IndexError
        if name == b"MTrk":
            events += _track(data[at : at + size])
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


def _track(data: bytes) -> Iterator[tuple[int, int]]:
    at = tick = status = 0

    def number() -> int:
        nonlocal at
        value = 0
        for _ in range(4):
            byte = data[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise ValueError("is damaged: a number in it has no end")

    while at < len(data):
        tick += number()
        if data[at] >= 0x80:
            status = data[at]
            at += 1
            if status >= 0xF0:
                kind, running = status, 0
                if kind == 0xFF:
                    meta = data[at]
                    at += 1
                elif kind in (0xF0, 0xF7):
                    meta = -1
                else:
                    raise ValueError(f"is damaged: it holds the byte {kind:02X} where an event should be")
                size = number()
                body = data[at : at + size]
                if len(body) < size:
                    raise IndexError
                at += size
                status = running
                if meta == 0x51:
                    tempo = int.from_bytes(body, "big")
                    if size != 3 or not tempo:
                        raise ValueError("is damaged: a tempo in it is 0")
                    yield tick, -tempo
                elif meta == 0x2F:
                    break
                continue
        if not status:
            raise ValueError("is damaged: it holds data without an event")
        count = DATA_BYTES[status & 0xF0]
        a, b = data[at], data[at + 1] if count > 1 else 0
        at += count
        if a > 127 or b > 127:
            raise ValueError("is damaged: an event in it breaks off")
        yield tick, message(status, a, b)
    yield tick, 0


def write(path: Path, events: Sequence[tuple[float, int]]) -> None:
    """A MIDI file of format 0 from (s, message), ascending; 120 quarters a minute, 960 ticks a quarter. Whole or not at all."""
    track = bytearray()
    last = 0
    for seconds, word in events:
        tick = max(round(seconds * 2 * _TICKS), last)
        body = word.to_bytes(3, "little")[: 1 + DATA_BYTES[word & 0xF0]]
        track += _variable(tick - last) + body
        last = tick
    track += b"\x00\xff\x2f\x00"
    with whole(path) as part:
        part.write_bytes(struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, _TICKS, b"MTrk", len(track)) + bytes(track))


def _variable(value: int) -> bytes:
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))
