"""SoundFont 2: one file with everything in it (SoundFont Technical Specification 2.04).

Instrument k is morph position k; the first preset layers them all and fades them by the mod wheel, and each further
preset is one position alone, for players that do without modulators. Of very many positions the first preset fades
some, evenly chosen. A loop ends after the last frame played, one later than in a Zone. Files of up to 4 GiB are
written straight from the WAVs, a few samples in memory at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import __version__
from ..audio import whole
from ..errors import UsageError
from ..notes import key_name
from ..pack import SamplePack, Zone
from .layers import axes, by_position
from .modulators import OFF, fadable, morph_modulators, pack_modulator
from .names import position_name, safe
from .parallel import ordered
from .riff import chunk, zstring
from .samples import integers
from .sfz import AXIS_CC

PAD = 46
"""Frames of silence that must follow each sample (section 6.1)."""
_ATTACK, _RELEASE, _INSTRUMENT, _KEYS, _VELOCITIES, _SAMPLE, _MODES = 34, 38, 41, 43, 44, 53, 54


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.sf2` of 24 bits, or of 16 if the pack has 16."""
    return write_bits(pack, folder, folder / f"{safe(pack.name)}.sf2", wide=pack.bits > 16)


def write_bits(pack: SamplePack, folder: Path, path: Path, *, wide: bool) -> Path:
    """Write an SF2 of 24 (`wide`) or 16 bits at `path`. Raises UsageError when it would outgrow the format."""
    starts = np.concatenate([[0], np.cumsum([z.frames + PAD for z in pack.zones])])
    total = int(starts[-1])
    places = [Place(int(s), int(s) + z.frames, int(s)) for s, z in zip(starts, pack.zones, strict=False)]
    head = info(pack, (2, 4) if wide else (2, 1))
    tail = hydra(pack, places, kind=1)
    low = (total + 1 & ~1) + 8 if wide else 0
    sdta = 4 + 8 + 2 * total + low
    size = 4 + len(head) + 8 + sdta + len(tail)
    if size >= 2**32 - 8:
        raise UsageError(f"{path.name} would be {size / 2**30:.1f} GiB, SF2 ends at 4; render fewer notes or choose sfz")
    with whole(path) as part, part.open("wb") as f:
        f.write(b"RIFF" + struct.pack("<I", size) + b"sfbk" + head)
        f.write(b"LIST" + struct.pack("<I", sdta) + b"sdta" + b"smpl" + struct.pack("<I", 2 * total))
        words = f.tell()
        if wide:
            f.seek(words + 2 * total)
            f.write(b"sm24" + struct.pack("<I", total))
        _stream(pack, folder, f, words, wide=wide)
        f.seek(words + 2 * total + low)
        f.write(tail)
    return path


def _stream(pack: SamplePack, folder: Path, f: BinaryIO, words: int, *, wide: bool) -> None:
    """Copy every sample to its place: upper 16 bits at `words`, lower 8 behind them all."""
    total = sum(z.frames + PAD for z in pack.zones)
    at = 0

    def split(z: Zone) -> tuple[bytes, bytes]:
        values = integers(pack, folder, z, 24 if wide else 16)
        upper = (values >> 8 if wide else values).astype("<i2").tobytes()
        return upper + bytes(2 * PAD), values.astype(np.uint8).tobytes() + bytes(PAD) if wide else b""

    for upper, lower in ordered(split, pack.zones):
        f.seek(words + 2 * at)
        f.write(upper)
        if wide:
            f.seek(words + 2 * total + 8 + at)
            f.write(lower)
        at += len(upper) // 2
    if wide and total & 1:
        f.write(b"\0")


@dataclass(frozen=True)
class Place:
    """Where a sample lies in `smpl`: start and end, and from where its loop counts; frames, or bytes in SF3."""

    start: int
    end: int
    loop_from: int


def info(pack: SamplePack, version: tuple[int, int]) -> bytes:
    """The INFO list."""
    texts = {"isng": "EMU8000", "INAM": pack.title or pack.name, "ICOP": pack.licence, "ICMT": pack.description}
    body = chunk(b"ifil", struct.pack("<HH", *version))
    body += b"".join(chunk(k.encode(), zstring(v)) for k, v in texts.items() if v)
    return chunk(b"LIST", b"INFO" + body + chunk(b"ISFT", zstring(f"nsynth-instrument {__version__}")))


def hydra(pack: SamplePack, places: Sequence[Place], *, kind: int) -> bytes:
    """The `pdta` list: presets, instruments and sample headers; `kind` is sfSampleType."""
    positions = by_position(pack)
    number = {id(z): i for i, z in enumerate(pack.zones)}
    presets, instruments = _Level(), _Level()
    if len(positions) > 1:
        presets.begin(_preset(pack.title or pack.name, 0))
        grid = [fadable(along) for along in axes(pack)]
        for k, (position, _) in enumerate(positions):
            if any(at not in among for at, among in zip(position, grid, strict=True)):
                continue
            axis = [(cc, at, among) for cc, at, among in zip(AXIS_CC, position, grid, strict=False) if len(among) > 1]
            presets.zone([_word(_INSTRUMENT, k)], [m for a in axis for m in morph_modulators(*a)])
    for k, (position, zones) in enumerate(positions):
        alone = len(positions) == 1
        name = f"{pack.title or pack.name}" if alone else f"{pack.title or pack.name}"[:12] + " " + position_name(position)
        presets.begin(_preset(name, k + (not alone)))
        presets.zone([_word(_INSTRUMENT, k)], [])
        instruments.begin(_instrument(name))
        instruments.zone(
            [_word(_ATTACK, _timecents(0.002)), _word(_RELEASE, _timecents(pack.release * 100 / 60))],
            [pack_modulator(source, target, 0) for source, target in OFF],
        )
        for z in sorted(zones, key=lambda z: (z.root, z.velocity)):
            ranges = [_range(_KEYS, z.low_key, z.high_key), _range(_VELOCITIES, z.low_velocity, z.high_velocity)]
            modes = [_word(_MODES, 3)] if z.loop is not None else []
            instruments.zone([*ranges, *modes, _word(_SAMPLE, number[id(z)])], [])
    headers = b"".join(_header(pack, z, p, kind) for z, p in zip(pack.zones, places, strict=True))
    headers += struct.pack("<20sIIIIIBbHH", _name("EOS"), *[0] * 9)
    body = presets.chunks(b"p", b"phdr", _preset("EOP", 0)) + instruments.chunks(
        b"i", b"inst", _instrument("EOI")
    )
    return chunk(b"LIST", b"pdta" + body + chunk(b"shdr", headers))


@dataclass
class _Level:
    """One of the two levels of the hydra: heads, bags, generators, modulators, and how many there are."""

    heads: list[bytes] = field(default_factory=list)
    bags: list[bytes] = field(default_factory=list)
    generators: list[bytes] = field(default_factory=list)
    modulators: list[bytes] = field(default_factory=list)

    def begin(self, head: Callable[[int], bytes]) -> None:
        self.heads.append(head(len(self.bags)))

    def zone(self, generators: Sequence[bytes], modulators: Sequence[bytes]) -> None:
        self.bags.append(self._bag())
        self.generators += generators
        self.modulators += modulators

    def _bag(self) -> bytes:
        if max(len(self.bags), len(self.generators), len(self.modulators)) >= 65535:
            raise UsageError("the pack has more zones than SF2 can count; render fewer positions, or choose sfz")
        return struct.pack("<HH", len(self.generators), len(self.modulators))

    def chunks(self, letter: bytes, head: bytes, last: Callable[[int], bytes]) -> bytes:
        heads = [*self.heads, last(len(self.bags))]
        rows = {head: heads, letter + b"bag": [*self.bags, self._bag()]}
        rows |= {letter + b"mod": [*self.modulators, bytes(10)], letter + b"gen": [*self.generators, bytes(4)]}
        return b"".join(chunk(name, b"".join(row)) for name, row in rows.items())


def _preset(name: str, program: int) -> Callable[[int], bytes]:
    return lambda at: struct.pack("<20sHHHIII", _name(name), program, 0, at, 0, 0, 0)


def _instrument(name: str) -> Callable[[int], bytes]:
    return lambda at: struct.pack("<20sH", _name(name), at)


def _header(pack: SamplePack, z: Zone, place: Place, kind: int) -> bytes:
    name = f"{z.root:03d} {key_name(z.root)} v{z.velocity:03d} p{pack.positions.index(z.position) + 1}"
    loop = (z.loop.start, z.loop.end + 1) if z.loop is not None else (8, max(9, z.frames - 8))
    at = place.loop_from
    return struct.pack(
        "<20sIIIIIBbHH", _name(name), place.start, place.end, at + loop[0], at + loop[1], pack.rate, z.root, 0, 0, kind
    )


def _name(text: str) -> bytes:
    return text.encode("ascii", "replace")[:20].ljust(20, b"\0")


def _word(generator: int, value: int) -> bytes:
    return struct.pack("<Hh", generator, value)


def _range(generator: int, low: int, high: int) -> bytes:
    return struct.pack("<HBB", generator, low, high)


def _timecents(seconds: float) -> int:
    return int(np.clip(round(1200 * float(np.log2(max(seconds, 1e-4)))), -12000, 8000))
