"""The paper's table: how often pitch and qualities are still heard in what a model makes of a note.

Engel et al. 2017, "Neural audio synthesis of musical notes with WaveNet autoencoders", table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..audio import Audio, fit, resample
from ..codecs import Codec, known
from ..dataset.example import Example
from ..dsp.distance import log_spectral_distance, multi_resolution
from ..dsp.pitch import cents_off
from .judges import RATE, ClassifierJudge, PitchJudge
from .recordings import Recording, hear

Tell = Callable[[str], None]

PUBLISHED = (("original audio", 91.6, 90.1), ("WaveNet autoencoder", 79.6, 88.9), ("spectral baseline", 73.9, 85.2))
"""Pitch and quality accuracy in % of the paper's table 1: its classifier, trained on NSynth, on NSynth's test set. As noted
down from the paper; its text was not at hand to compare them with once more."""


@dataclass(frozen=True)
class Row:
    """One line. pitch, quality: % right by the classifier; judges: % right by name, of the notes in the judge's range, and
    how many those are; cents: median off 12-TET of the notes with a clear pitch, and unclear: % of notes without; lsd: dB at the
    model's own rate, lsd_8k: dB below 8 kHz; mr: multi-resolution STFT distance at 16 kHz. None where there is none.
    """

    name: str
    notes: int
    rate: int
    pitch: float
    quality: float
    judges: dict[str, tuple[float, int]]
    cents: float
    unclear: float
    lsd: float | None = None
    lsd_8k: float | None = None
    mr: float | None = None


def rows(
    codecs: Sequence[Codec],
    drawn: Sequence[Example],
    classifier: ClassifierJudge,
    judges: Sequence[PitchJudge],
    tell: Tell,
) -> Iterator[Row]:
    """The originals, then each codec's reconstructions of them at their own keys."""
    originals = [hear(e, RATE) for e in drawn]
    tell(f"the originals: {len(drawn)} notes")
    yield _row("original", RATE, originals, [r.audio for r in originals], classifier, judges)
    for codec in codecs:
        tell(f"{codec.name}: {len(drawn)} notes at {codec.rate} Hz, on {codec.runtime}")
        heard = originals if codec.rate == RATE else [hear(e, codec.rate) for e in drawn]
        keys = [r.note for r in heard]
        audio = [r.audio for r in heard]
        made = [fit(m, len(a)) for m, a in zip(codec.decode(known(codec, audio, keys), keys), audio, strict=True)]
        lsd = float(np.mean([log_spectral_distance(a, m) for a, m in zip(audio, made, strict=True)]))
        low = [resample(m, codec.rate, RATE) for m in made]
        tell(f"{codec.name}: judged")
        yield _row(codec.name, codec.rate, originals, low, classifier, judges, lsd)


def _row(
    name: str,
    rate: int,
    originals: Sequence[Recording],
    sounds: Sequence[Audio],
    classifier: ClassifierJudge,
    judges: Sequence[PitchJudge],
    lsd: float | None = None,
) -> Row:
    keys = np.array([r.note.pitch for r in originals])
    verdict = classifier.hear(sounds)
    true = np.array([r.example.qualities for r in originals], bool)
    pitch, quality = 100 * float(np.mean(verdict.pitch == keys)), 100 * float(np.mean(verdict.qualities == true))
    found = {}
    for judge in judges:
        inside = [i for i, k in enumerate(keys) if judge.low <= k <= judge.high]
        right = [abs(judge.pitch(sounds[i]) - keys[i]) < 0.5 for i in inside]
        found[judge.name] = (100 * float(np.mean(right)) if right else float("nan"), len(right))
    # The originals' own tuning, since what is heard of them was brought to 12-TET.
    off = np.array([r.cents if lsd is None else cents_off(s, RATE, k) for r, s, k in zip(originals, sounds, keys, strict=True)])
    clear = np.abs(off[np.isfinite(off)])
    cents, unclear = float(np.median(clear)) if len(clear) else float("nan"), 100 * float(np.mean(~np.isfinite(off)))
    row = Row(name, len(keys), rate, pitch, quality, found, cents, unclear, lsd)
    if lsd is None:
        return row
    pairs = [(r.audio, fit(s, len(r.audio))) for r, s in zip(originals, sounds, strict=True)]
    below = float(np.mean([log_spectral_distance(a, b) for a, b in pairs]))
    return replace(row, lsd_8k=below, mr=float(np.mean([multi_resolution(a, b) for a, b in pairs])))
