"""A phrase that lets a pack be heard: low and high, soft and hard, alone and together, along its whole morph."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from .. import audio
from ..pack import SamplePack
from .engine import Engine, Settings
from .midi import message
from .midifile import Song
from .player import render
from .samples import load

PREVIEW = "preview.mp3"
PEAK = 10 ** (-1 / 20)
"""Of full scale."""
BEAT = 0.5
"""s"""
FASTEST = 48000
"""Hz of the file; MP3 has no more, and few others."""
NOTES: tuple[tuple[float, float, int, int], ...] = (
    (0, 4, -12, 85), *((i / 2, 0.6, up, 30 + 12 * i) for i, up in enumerate((0, 7, 12, 16, 19, 16, 12, 7))),
    (4, 4, -15, 85), *((4 + i / 2, 0.6, up, 114 - 12 * i) for i, up in enumerate((-3, 4, 9, 12, 16, 12, 9, 4))),
    (8, 4, -19, 95), *((8, 3.8, up, 70) for up in (0, 5, 9)), (9, 1, 17, 110), (10, 1, 16, 90), (11, 1, 14, 75),
    (12, 5, -12, 100), *((12, 5, up, v) for up, v in ((-5, 80), (0, 80), (4, 90), (12, 110))),
)  # fmt: skip
"""Beat, beats, semitones from the middle, velocity."""
WAY = ((0.0, 0, 0), (4.0, 127, 0), (8.0, 127, 127), (12.0, 0, 127), (16.0, 64, 64))
"""Beat, CC1, CC2: round a square of positions. Along a line CC1 only rises."""


def preview(folder: Path, pack: SamplePack | None = None) -> audio.Audio:
    """The phrase as the engine plays it on the pack in `folder`: mono at the pack's rate, or at FASTEST if that is more.

    Only the notes that the phrase asks for are read; `pack` is the folder's, if that is known. Raises DataError or AudioError
    when the pack is not whole.
    """
    pack = pack or SamplePack.load(folder)
    middle = _middle(pack)
    keys = {middle + up for _, _, up, _ in NOTES}
    zones = tuple(z for z in pack.zones if any(z.low_key <= k <= z.high_key for k in keys))
    rate = min(pack.rate, FASTEST)
    sound = load(folder, rate=rate, budget=1 << 62, pack=dataclasses.replace(pack, zones=zones))
    engine = Engine([sound], settings=Settings(gain=-24.0), channels=1)
    heard = np.concatenate([block[:, 0].copy() for block in render(engine, _song(pack, middle, rate))])
    return np.asarray(heard * np.float32(PEAK / max(float(np.abs(heard).max()), 1e-9)), dtype=np.float32)


def write_preview(folder: Path) -> Path:
    """Write the phrase as `preview.mp3` into the pack's folder."""
    pack = SamplePack.load(folder)
    heard = preview(folder, pack)
    rate = min(pack.rate, FASTEST)
    with audio.whole(folder / PREVIEW) as part:
        part.write_bytes(audio.encode(audio.resample(heard, rate, FASTEST), FASTEST, kind="MP3"))
    return folder / PREVIEW


def _middle(pack: SamplePack) -> int:
    """The C nearest to the middle of the pack's keys, of those between C2 and C6."""
    return int(np.clip(12 * round(float(np.median([z.root for z in pack.zones])) / 12), 36, 84))


def _song(pack: SamplePack, middle: int, rate: int) -> Song:
    events = []
    for beat, beats, up, velocity in NOTES:
        events += [(beat, message(0x90, middle + up, velocity)), (beat + beats, message(0x80, middle + up))]
    if len(pack.positions) > 1:
        at, across, down = np.transpose(WAY if len(pack.positions[0]) > 1 else ((0, 0, 0), (15, 127, 0)))
        for beat in np.arange(0, 16, 1 / 8):
            turns = ((cc, round(float(np.interp(beat, at, to)))) for cc, to in ((1, across), (2, down)))
            events += [(float(beat), message(0xB0, cc, value)) for cc, value in turns]
    events.sort(key=lambda e: (e[0], e[1] & 0xF0 != 0xB0))
    frames = np.array([round(beat * BEAT * rate) for beat, _ in events], np.int64)
    return Song(frames, np.array([m for _, m in events], np.int64), int(frames[-1]), rate)
