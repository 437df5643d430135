"""One figure of a model, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..audio import Audio, fit
from ..dsp.distance import log_spectral_distance
from .recordings import Recording

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Bar:
    """One figure. what: is measured; lab, bar: what a sketch reached, and what is asked; value: ours, in `unit`;
    others: further figures of the same notes; notes: how many; holds: whether the bar is reached, None where there is none.
    """

    what: str
    unit: str
    value: float
    notes: int
    lab: str = ""
    bar: str = ""
    holds: bool | None = None
    others: tuple[tuple[str, float], ...] = ()


def distance(
    what: str, values: Sequence[float], others: Sequence[tuple[str, float]] = (), *, lab: str, most: float | None
) -> Bar:
    """The mean of log-spectral distances (dB), their median beside it. most: what is asked, or None of these notes."""
    value, beside = float(np.mean(values)), (("median", float(np.median(values))), *others)
    if most is None:
        return Bar(what, "dB", value, len(values), others=beside)
    return Bar(what, "dB", value, len(values), lab, f"{most:.1f}", value <= most, beside)


def lsd(recordings: Sequence[Recording], made: Sequence[Audio]) -> list[float]:
    """Log-spectral distance (dB) of what was made of each recording, over its whole length."""
    return [log_spectral_distance(r.audio, fit(m, len(r.audio))) for r, m in zip(recordings, made, strict=True)]
