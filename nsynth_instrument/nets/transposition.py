"""What is expected of a note at another key and velocity; see `codecs.transposition`, which plays it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..codes import DIMS, FRAMES
from ..dsp.detail import MEANT
from ..dsp.partials import BANDS
from ..dsp.timbre import KEY

VIEW = ("root", "inverse", "mean", "basis", "size", "scale")
"""Names of how codes are seen."""


@dataclass(frozen=True)
class KeyConfig:
    """of: the model whose codes they are; seen: directions in which codes are seen; width and number of residual blocks; level,
    noise: how many numbers what is expected to be lost of each is made of.
    """

    of: str = "harmonic"
    seen: int = 448
    width: int = 640
    blocks: int = 4
    level: int = 96
    noise: int = 24

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for a bundle's manifest."""
        return asdict(self)


class Block(nn.Module):
    """Residual: norm, out of it SiLU, back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (batch, width)."""
        out: torch.Tensor = x + self.out(nn.functional.silu(self.mix(self.norm(x))))
        return out


class KeyNetwork(nn.Module):
    """The network, and how codes are seen by it, which is no part of what is learned.

    root, inverse (FRAMES, 16, 16): from codes to where a step is as loud in every direction, and back; mean (FRAMES * 16,), basis
    (FRAMES * 16, seen): principal directions there; size (seen,): deviations along those; scale (seen,): by what they are told.
    """

    root: torch.Tensor
    inverse: torch.Tensor
    mean: torch.Tensor
    basis: torch.Tensor
    size: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: KeyConfig, view: Mapping[str, npt.NDArray[np.floating]] | None = None) -> None:
        """view: the buffers by name; zeros and ones for weights to be loaded into."""
        super().__init__()
        whole = FRAMES * DIMS
        blank = {
            "root": np.zeros((FRAMES, DIMS, DIMS)), "inverse": np.zeros((FRAMES, DIMS, DIMS)), "mean": np.zeros(whole),
            "basis": np.zeros((whole, config.seen)), "size": np.ones(config.seen), "scale": np.ones(config.seen),
        }  # fmt: skip
        for name in VIEW:
            self.register_buffer(name, torch.from_numpy(np.array((view or blank)[name], np.float32)))
        self.start = nn.Linear(config.seen + 2 * KEY + 2, config.width)
        self.blocks = nn.ModuleList(Block(config.width) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.say = nn.Linear(config.width, config.seen)
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(self.say.bias)
        self.few_level, self.level = nn.Linear(config.width, config.level), nn.Linear(config.level, 3 * MEANT)
        self.few_noise, self.noise = nn.Linear(config.width, config.noise), nn.Linear(config.noise, 3 * BANDS)
        for last in (self.level, self.noise):
            nn.init.normal_(last.weight, std=0.1)
            nn.init.zeros_(last.bias)

    def forward(self, heard: torch.Tensor, keys: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """heard (batch, seen); keys (batch, 2 * KEY + 2): the key that is heard, the one that is wanted, their velocities of 0..1
        -> what is expected there: (batch, seen), and of what is lost levels (batch, 3, MEANT) and noise (batch, 3, BANDS).
        """
        x = self.start(torch.cat([heard, keys], dim=1))
        for block in self.blocks:
            x = block(x)
        x = nn.functional.silu(self.norm(x))
        lost = (self.level(self.few_level(x)), self.noise(self.few_noise(x)))
        return heard + self.say(x), *(y.reshape(len(y), 3, -1) for y in lost)
