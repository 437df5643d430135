"""What a WaveNet autoencoder is made of, and those of its inputs that are not learned. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..notes import KEYS

Floats = npt.NDArray[np.float32]

PITCHES = ("none", "onehot", "basis")
HEADS = ("classes", "levels")

LEAST = -7.0
MOST = 5.0
"""Bounds of the log deviation that a head of levels says."""


@dataclass(frozen=True)
class WaveNetConfig:
    """Shape of a WaveNet autoencoder (Engel et al. 2017, section 2.1). The defaults are the published one, h512_bo16.

    rate: Hz; hop: samples per code frame; dims: values per code (of a guided network: per frame of what it is told);
    bands: PQMF bands, so samples per step;
    encoder_width, encoder_layers, encoder_stages: channels, layers, and layers until the dilation starts again
    at 1; bound: codes are bound tanh(z / bound), 0 for no bound; width, skip, layers, stages, kernel: of the
    decoder; pitch: how the decoder hears the key, "none", "onehot" (128 inputs) or "basis" (smooth bumps, so
    that untrained keys have meaning); velocity: whether it hears the velocity; head: what it says of a sample,
    "classes" (odds of 256 mu-law classes) or "levels" (mean and log deviation of a normal distribution); guide: name of
    the model whose voice it follows ("" for none: it then has an encoder of its own); source: values per step that the guide
    tells it.
    """

    rate: int = 16000
    hop: int = 512
    dims: int = 16
    bands: int = 1
    encoder_width: int = 128
    encoder_layers: int = 30
    encoder_stages: int = 10
    bound: float = 0.0
    width: int = 512
    skip: int = 256
    layers: int = 30
    stages: int = 10
    kernel: int = 3
    pitch: str = "none"
    velocity: bool = False
    head: str = "classes"
    guide: str = ""
    source: int = 0

    def __post_init__(self) -> None:
        sizes = {f.name: getattr(self, f.name) for f in fields(self) if f.type == "int"}
        if any(not isinstance(v, int) or not (v > 0 or (n == "source" and v == 0)) or v > 192000 for n, v in sizes.items()):
            raise BundleError(f"the network's sizes cannot be: {sizes}; install or export the model again")
        wrong = self.pitch not in PITCHES or self.head not in HEADS or bool(self.guide) != (self.source > 0)
        if wrong or self.hop % self.bands or max(self.stages, self.encoder_stages) > 14 or self.kernel < 2:
            raise BundleError(f"the network's configuration cannot be: {asdict(self)}; install or export the model again")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> WaveNetConfig:
        """From the `network` table of a model's manifest. Raises BundleError for what it does not know."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise BundleError(f"the network has unknown settings {', '.join(sorted(unknown))}; update nsynth-instrument")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest; `of` reads it back."""
        return asdict(self)

    @property
    def steps(self) -> int:
        """Steps per code frame; each step makes `bands` samples."""
        return self.hop // self.bands

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of the decoder's layers, in steps."""
        return tuple(1 << i % self.stages for i in range(self.layers))

    @property
    def encoder_dilations(self) -> tuple[int, ...]:
        """Of the encoder's layers, in steps."""
        return tuple(1 << i % self.encoder_stages for i in range(self.encoder_layers))

    @property
    def says(self) -> int:
        """Outputs per band of a step."""
        return 256 if self.head == "classes" else 2

    @property
    def conditions(self) -> int:
        """Values per frame that condition the decoder."""
        return int(self.dims + self.pitch_table().shape[1] + (2 if self.velocity else 0))

    def pitch_table(self) -> Floats:
        """What stands for each MIDI key: float32 (128, n), n = 0, 128 or 22.

        A learned embedding is this table's one-hot form times a matrix, and the matrix is part of what conditions
        each layer; the bumps are Gaussians 6 semitones apart with a sigma of 6.
        """
        keys = np.arange(KEYS, dtype=np.float32)[:, None]
        if self.pitch == "onehot":
            return np.eye(KEYS, dtype=np.float32)
        if self.pitch == "basis":
            return np.exp(-0.5 * ((keys - np.arange(0, KEYS + 4, 6, dtype=np.float32)) / 6) ** 2).astype(np.float32)
        return np.zeros((KEYS, 0), np.float32)

    def conditioning(self, codes: Floats, pitch: npt.NDArray[Any], velocity: npt.NDArray[Any]) -> Floats:
        """Float32 (batch, frames, conditions) of codes (batch, frames, dims), pitch and velocity (batch,)."""
        parts = [codes, np.repeat(self.pitch_table()[pitch.astype(np.intp)][:, None], codes.shape[1], axis=1)]
        if self.velocity:
            v = (velocity.astype(np.float32) / np.float32(127))[:, None, None]
            parts.append(np.repeat(np.concatenate([v, v * v], axis=2), codes.shape[1], axis=1))
        return np.concatenate(parts, axis=2, dtype=np.float32)


H512 = WaveNetConfig()
"""The published network: 61,804,048 parameters, 59.5 M multiply-adds a sample."""

GUIDED12 = WaveNetConfig(
    rate=48000, hop=1536, bands=12, dims=88, width=64, skip=64, layers=14, stages=7, kernel=2, pitch="basis", velocity=True,
    head="levels", guide="harmonic", source=62,
)  # fmt: skip
"""A small one for processors, at 48 kHz: 0.36 M multiply-adds for 12 samples."""
