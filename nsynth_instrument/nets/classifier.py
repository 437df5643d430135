"""The judge of the paper's table: pitch (128 keys) and the ten qualities, heard from log-magnitude spectrograms at 16 kHz.

A multi-task classifier as Engel et al. 2017 use it; they do not give its network, so this one is our own. Two
spectrograms: a long window that tells low keys apart by their harmonics, and a short one, in bands, that sees attacks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from .harmonic import Block

RATE = 16000
SAMPLES = 4 * RATE
"""Of a note that are heard."""
STEP = 2048
"""Samples per frame of the network."""
LONG = 4096
SHORT = 512
PER_STEP = 8
"""Short frames per step: one each 16 ms."""
KEYS = 128
QUALITIES = 10
DEPTH = 80.0
"""dB under the note's peak; what lies lower is as good as silent."""


@dataclass(frozen=True)
class ClassifierConfig:
    """bins: of the long spectrum, 3.9 Hz each; bands: of the short one; width: of the network; embedding: of its last layer;
    dilations: of its blocks over time.
    """

    bins: int = 1600
    bands: int = 32
    width: int = 256
    embedding: int = 128
    dilations: tuple[int, ...] = (1, 2, 4)
    drop: float = 0.2

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for a bundle's manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassifierConfig:
        """From a bundle's manifest. Raises TypeError on names that it has not."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


def spectrograms(audio: torch.Tensor, bands: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Log magnitudes of mono notes (batch, SAMPLES) at RATE: long (batch, steps, 2049), short (batch, steps, 8 x bands).

    Relative to each note's peak, -1 at DEPTH dB under it, +1 at it; so that a note's level does not count.
    """
    with torch.autocast(audio.device.type, enabled=False):
        long = _magnitude(audio.float(), LONG, STEP)
        short = _magnitude(audio.float(), SHORT, STEP // PER_STEP)
        # Bands even in mel-like steps: finest where notes have their first partials.
        edges = torch.linspace(0, 1, bands + 1, dtype=torch.float64) ** 2 * (SHORT // 2)
        centres = torch.arange(SHORT // 2 + 1, device=audio.device)[:, None]
        low, high = edges[:-1].to(audio.device), torch.maximum(edges[1:], edges[:-1] + 1).to(audio.device)
        share = ((centres >= low.floor()) & (centres < high.ceil())).float()
        short = torch.sqrt(short.square() @ share)
        steps = long.shape[1]
        short = short[:, : steps * PER_STEP]
        short = nn.functional.pad(short, (0, 0, 0, steps * PER_STEP - short.shape[1]))
        return _log(long), _log(short).reshape(len(audio), steps, -1)


def _magnitude(audio: torch.Tensor, size: int, hop: int) -> torch.Tensor:
    """(batch, frames, size // 2 + 1), frames centred on multiples of `hop`, silence outside."""
    window = torch.hann_window(size, device=audio.device)
    spectrum = torch.stft(audio, size, hop, window=window, center=True, pad_mode="constant", return_complex=True)
    return spectrum.abs().transpose(1, 2)


def _log(magnitude: torch.Tensor) -> torch.Tensor:
    peak = magnitude.amax(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    return (20 * torch.log10(magnitude / peak + 1e-9)).clamp(min=-DEPTH) / (DEPTH / 2) + 1


class Classifier(nn.Module):
    """Audio -> what it is; see `spectrograms` for what it hears."""

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or ClassifierConfig()
        self.hear = nn.Linear(c.bins, c.width)
        self.attack = nn.Linear(c.bands * PER_STEP, c.width)
        self.drop = nn.Dropout(c.drop)
        self.blocks = nn.ModuleList(Block(c.width, d) for d in c.dilations)
        self.norm = nn.LayerNorm(c.width)
        self.weigh = nn.Linear(c.width, 2)
        self.embed = nn.Linear(2 * c.width, c.embedding)
        self.pitch = nn.Linear(c.embedding, KEYS)
        self.quality = nn.Linear(c.embedding, QUALITIES)

    def forward(self, long: torch.Tensor, short: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits (batch, 128) of keys and (batch, 10) of qualities, and the last layer (batch, embedding) before both."""
        x = self.hear(self.drop(long[..., : self.config.bins])) + self.attack(self.drop(short))
        for block in self.blocks:
            x = block(nn.functional.silu(x))
        x = self.norm(x)
        # Two views of a note over time: each weighs its frames as it likes.
        share = torch.softmax(self.weigh(x).float(), dim=1).to(x.dtype)
        pooled = torch.einsum("bsw,bsk->bkw", x, share).flatten(1)
        last = nn.functional.silu(self.embed(pooled))
        return self.pitch(self.drop(last)), self.quality(self.drop(last)), last
