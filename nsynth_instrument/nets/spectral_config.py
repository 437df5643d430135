"""What a spectral autoencoder is made of, and what of it is not learned. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dsp.spectra import BINS, HARMONICS, LATENT
from ..errors import BundleError

Floats = npt.NDArray[np.float32]

ENVELOPE = 48
NOISE = 32
OUT = ENVELOPE + HARMONICS + NOISE + BINS
"""What the last layer of "frames" says of a spectrum: envelope over harmonics, corrections, noise, and the rest bin by bin."""

FORMS = ("frames", "nfft_1024")
NATS = 50 * 0.1151292546
"""ln 10 / 10 times 50: what a level of 1 is in nats of power."""

EPSILON = 1e-3
LEAK = 0.1

Strides = tuple[int, int]
# Name, kernel, stride in (frequency, time), channels; magenta's nfft_1024.py.
ENCODER: tuple[tuple[str, int, Strides, int], ...] = (
    ("0", 5, (2, 2), 128), ("1", 4, (2, 2), 128), ("2", 4, (2, 2), 128), ("3", 4, (2, 2), 256), ("4", 4, (2, 2), 256),
    ("5", 4, (2, 2), 256), ("6", 4, (2, 2), 512), ("7", 4, (2, 2), 512), ("7_1", 4, (2, 1), 512), ("8", 1, (1, 1), 1024),
    ("z", 1, (1, 1), LATENT),
)  # fmt: skip
DECODER: tuple[tuple[str, int, Strides, int], ...] = (
    ("0", 1, (1, 1), 1024), ("1", 4, (2, 2), 512), ("2", 4, (2, 2), 512), ("3", 4, (2, 2), 256), ("4", 4, (2, 2), 256),
    ("5", 4, (2, 2), 256), ("6", 4, (2, 2), 128), ("7", 4, (2, 2), 128), ("8", 5, (2, 2), 128), ("8_1", 5, (2, 1), 128),
)  # fmt: skip

PITCH = 128
"""Numbers that stand for a key."""


@dataclass(frozen=True)
class SpectralConfig:
    """A form and, of "frames", its sizes.

    form: "nfft_1024" is the published network (Engel et al. 2017, section 2.2), which has no further settings; "frames" a small
    one whose codes run along time. Widths and dilations are of its encoder, of its decoder at the rate of codes, and of that at
    the rate of spectra; code_noise: standard deviation of what is added to codes in training.
    """

    form: str = "frames"
    encoder: int = 192
    encoder_dilations: tuple[int, ...] = (1, 2, 4)
    slow: int = 192
    slow_dilations: tuple[int, ...] = (1, 2, 4)
    fast: int = 160
    fast_dilations: tuple[int, ...] = (1, 2)
    code_noise: float = 0.1

    def __post_init__(self) -> None:
        sizes = [self.encoder, self.slow, self.fast, *self.encoder_dilations, *self.slow_dilations, *self.fast_dilations]
        if self.form not in FORMS or any(not isinstance(n, int) or not 1 <= n <= 4096 for n in sizes):
            raise BundleError(f"the network's configuration cannot be: {asdict(self)}; install or export the model again")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SpectralConfig:
        """From the `network` table of a model's manifest. Raises BundleError for what it does not know."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise BundleError(f"the network has unknown settings {', '.join(sorted(unknown))}; update nsynth-instrument")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest; `of` reads it back."""
        if self.form != "frames":
            return {"form": self.form}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


NFFT_1024 = SpectralConfig(form="nfft_1024")
"""The published network: 36.8 M parameters."""


@cache
def grid(points: int) -> Floats:
    """Matrix (points, BINS): values over a warped frequency, dense at the bottom, read at each bin by linear interpolation."""
    at = np.log1p(np.arange(BINS) / 8) / np.log1p((BINS - 1) / 8) * (points - 1)
    near = np.maximum(0, 1 - np.abs(at - np.arange(points)[:, None]))
    return np.asarray(near.astype(np.float16), dtype=np.float32)  # as graphs keep it
