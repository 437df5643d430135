"""Does a pack keep what it promises? Every file is read again and judged by measurement."""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import Audio, db, read
from ..dsp.pitch import cents_off
from ..dsp.seams import CENTS as LOOP_CENTS
from ..dsp.seams import Seam, judge
from ..errors import AudioError
from ..notes import hz
from ..pack import Loop, SamplePack, Zone
from .parallel import ordered
from .sums import SUMS, digest, read_sums

CLIPPED = 3
"""Frames in a row at full scale that count as clipping."""
SILENT = -80.0
"""dB of full scale; a note whose loudest 100 ms are quieter is silent."""
OFFSET = 0.003
"""Of full scale; a larger mean is DC."""
CENTS = 10.0
"""A note with a clear pitch may be this far out of tune."""
STEP = 0.5
"""dB by which a softer layer may be the louder one."""


@dataclass(frozen=True)
class Finding:
    """One fault. check: its kind, of CHECKS; where: file or part of the pack; text: what is wrong."""

    check: str
    where: str
    text: str


CHECKS = {
    "files": "every file is there, of the length and rate that the pack says",
    "hashes": "every file is the one that was written",
    "zones": "zones cover every key and velocity once, at every position",
    "headers": "root key and loop inside the WAV file are the pack's",
    "loops": "steps, level, pitch and timbre at the seam",
    "clipping": f"fewer than {CLIPPED} frames in a row at full scale",
    "silence": f"louder than {SILENT:.0f} dB",
    "dc": f"mean below {OFFSET} of full scale",
    "tuning": f"within {CENTS:.0f} cents of the key, where a pitch is clear",
    "velocity": "louder layers for harder strokes",
}


@dataclass(frozen=True)
class Heard:
    """One zone as it was measured; NaN where that cannot be. level: dB of the loudest 100 ms; cents: off its key."""

    zone: Zone
    faults: tuple[Finding, ...]
    peak: float = math.nan
    level: float = math.nan
    mean: float = math.nan
    cents: float = math.nan
    seam: Seam | None = None


@dataclass(frozen=True)
class Report:
    """All that was found in a pack."""

    pack: SamplePack
    heard: tuple[Heard, ...]
    faults: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


def check(folder: Path) -> Generator[tuple[int, int], None, Report]:
    """Check the pack in `folder` on all cores; yields (notes done, of) and returns the report.

    Raises DataError when its manifest cannot be read.
    """
    pack = SamplePack.load(folder)
    root = folder if folder.is_dir() else folder.parent
    heard = []
    for done, one in enumerate(ordered(lambda z: listen(pack, root, z), pack.zones), 1):
        heard.append(one)
        yield done, len(pack.zones)
    faults = [*_tiles(pack), *_others(pack, root), *(f for h in heard for f in h.faults), *_dynamics(heard)]
    order = list(CHECKS)
    return Report(pack, tuple(heard), tuple(sorted(faults, key=lambda f: (order.index(f.check), f.where))))


def listen(pack: SamplePack, folder: Path, zone: Zone) -> Heard:
    """Read one zone's file and measure it."""
    faults: list[Finding] = []

    def fault(kind: str, text: str) -> None:
        faults.append(Finding(kind, zone.file, text))

    path = folder / zone.file
    try:
        audio, rate = read(path)
        data = path.read_bytes()
    except (AudioError, OSError) as e:
        fault("files", str(e))
        return Heard(zone, tuple(faults))
    if zone.sha256 and hashlib.sha256(data).hexdigest() != zone.sha256:
        fault("hashes", "is not the file that was written; its sha256 differs")
    if len(audio) != zone.frames or rate != pack.rate:
        fault("files", f"has {len(audio)} frames at {rate} Hz; the pack says {zone.frames} at {pack.rate} Hz")
        return Heard(zone, tuple(faults))
    header = wav_header(data)
    if header is not None and header != (zone.root, zone.loop):
        fault("headers", f"says root and loop are {_words(*header)}; the pack says {_words(zone.root, zone.loop)}")
    peak, level, mean = float(np.abs(audio).max()), db(loudest(audio, rate)), float(audio.mean(dtype=np.float64))
    full = 1.0 if pack.bits == 32 else 1.0 - 2.0 ** (1 - pack.bits)
    if clipped(audio, full):
        fault("clipping", f"stays at full scale for {CLIPPED} frames or more")
    if level < SILENT:
        fault("silence", f"is silent: its loudest moment is at {level:.0f} dB")
        return Heard(zone, tuple(faults), peak, level, mean)
    if abs(mean) > OFFSET:
        fault("dc", f"has an offset of {mean:+.4f} of full scale")
    cents = cents_off(audio, rate, zone.root)
    if abs(cents) > CENTS:
        fault("tuning", f"is {cents:+.1f} cents off key {zone.root}")
    seam = None if zone.loop is None else judge(audio, rate, zone.loop.start, zone.loop.end, hz(zone.root))
    if seam is not None and not seam.seamless:
        fault("loops", _seam_words(seam))
    return Heard(zone, tuple(faults), peak, level, mean, cents, seam)


def clipped(audio: Audio, full: float) -> bool:
    """Whether CLIPPED frames in a row lie at `full` or beyond."""
    at = np.abs(audio) >= full
    return bool(np.any(np.convolve(at, np.ones(CLIPPED), "valid") > CLIPPED - 0.5)) if at.any() else False


def loudest(audio: Audio, rate: int) -> float:
    """RMS of the loudest 100 ms."""
    n = min(len(audio), rate // 10)
    power = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    return float(np.sqrt(max(0.0, float((power[n:] - power[:-n]).max())) / n))


def wav_header(data: bytes) -> tuple[int, Loop | None] | None:
    """Root key and loop that a WAV file's `smpl` chunk holds; None without one."""
    at = 12
    while data[:4] == b"RIFF" and at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"smpl" and size >= 36 and at + 8 + size <= len(data):
            root, loops = struct.unpack_from("<I", data, at + 20)[0], struct.unpack_from("<I", data, at + 36)[0]
            if loops and size >= 60:
                return root, Loop(*struct.unpack_from("<2I", data, at + 52))
            return root, None
        at += 8 + size + (size & 1)
    return None


def _seam_words(seam: Seam) -> str:
    words = []
    if seam.step > seam.largest_step:
        words.append(f"a step of {seam.step:.4f} where {seam.largest_step:.4f} is usual")
    if seam.ripple >= 0.5:
        words.append(f"{seam.ripple:.1f} dB of ripple")
    if abs(seam.cents) > LOOP_CENTS + seam.doubt:
        words.append(f"{seam.cents:+.2f} cents against the note")
    return "loops with " + ", ".join(words or [f"a change of timbre of {seam.distance:.1f} dB"])


def _others(pack: SamplePack, folder: Path) -> Iterator[Finding]:
    """Of the files that are listed beside the notes: maps, texts, pictures."""
    notes = {z.file for z in pack.zones}
    for name, expected in read_sums(folder).items():
        if name in notes:
            continue
        if not (folder / name).is_file():
            yield Finding("files", name, f"is missing; {SUMS} lists it")
        elif digest(folder / name) != expected:
            yield Finding("hashes", name, "is not the file that was written; its sha256 differs")


def _tiles(pack: SamplePack) -> Iterator[Finding]:
    for position in sorted({*pack.positions, *(z.position for z in pack.zones)}):
        cover = np.zeros((128, 128), dtype=int)
        for z in pack.zones:
            if z.position == position:
                cover[z.low_key : z.high_key + 1, z.low_velocity : z.high_velocity + 1] += 1
        for wrong, word in ((cover[:, 1:] == 0, "no"), (cover[:, 1:] > 1, "more than one")):
            if wrong.any():
                key, velocity = np.argwhere(wrong)[0]
                yield Finding("zones", f"position {position}", f"{word} zone answers key {key} at velocity {velocity + 1}")


def _dynamics(heard: Sequence[Heard]) -> Iterator[Finding]:
    rising = sorted(heard, key=lambda h: (h.zone.position, h.zone.root, h.zone.velocity))
    for soft, hard in itertools.pairwise(rising):
        same = (soft.zone.position, soft.zone.root) == (hard.zone.position, hard.zone.root)
        if same and soft.level - hard.level > STEP:
            yield Finding("velocity", hard.zone.file, f"is {soft.level - hard.level:.1f} dB quieter than the softer layer")


def _words(root: int, loop: Loop | None) -> str:
    return f"{root}, " + (f"{loop.start} to {loop.end}" if loop else "no loop")
