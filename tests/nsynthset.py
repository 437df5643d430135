"""A small set in the NSynth format, made of tones."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from tones import tone

from nsynth_instrument.dataset.example import Example
from nsynth_instrument.dataset.nsynth import read_wav, write_listing, write_wav


def make(
    folder: Path, *, splits: dict[str, list[tuple[str, int]]], pitches: range, rate: int = 16000, velocity: int = 100,
    programs: dict[str, int] | None = None,
) -> Path:  # fmt: skip
    """splits: by name, instruments and their families; each has harmonics and a decay of its own, a few cents out of tune.

    programs: of instruments, where the notes shall say them and that six keys share a sample.
    """
    number = 0
    for split, instruments in splits.items():
        notes = []
        for name, family in instruments:
            number += 1
            decay = 12.0 * (number % 2)
            for pitch in pitches:
                sound = tone(pitch + 0.07, hold=3.0, release=0.3, after=0.7, decay=decay, harmonics=3 + 2 * number, rate=rate)[: 4 * rate]
                extra = {"bank": 0, "program": programs[name], "samples": [pitch // 6]} if programs else {}
                key = f"{name}-{pitch:03d}-{velocity:03d}"
                path = folder / split / "audio" / f"{key}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_wav(path, np.asarray(sound, np.float32), rate=rate)
                notes.append(
                    Example(
                        key, number << 14 | pitch << 7 | velocity, name, number, pitch, velocity, rate,
                        tuple(int(i == 3 and decay > 0) for i in range(10)), family, 0,
                        functools.partial(read_wav, path, rate), split, extra=extra,
                    )
                )  # fmt: skip
        write_listing(folder / split / "examples.json", notes)
    return folder
