"""The harmonic autoencoder: features of partials -> 16 codes at 31.25 Hz -> features at any pitch and velocity.

Every layer is a matrix on frames side by side, (batch, frames, channels): the same few products in torch, in
ONNX and in NumPy. Norms are over channels of one frame, never over time, so that a note does not depend on
its length.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ..codes import DIMS
from ..dsp.timbre import COND, IN, OUT, PER_CODE


@dataclass(frozen=True)
class HarmonicConfig:
    """Widths and dilations: of the encoder, of the decoder at the rate of codes, and at that of frames."""

    encoder: int = 256
    encoder_dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    slow: int = 384
    slow_dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    fast: int = 224
    fast_dilations: tuple[int, ...] = (1, 2)
    code_noise: float = 0.06

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for a bundle's manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HarmonicConfig:
        """From a bundle's manifest. Raises TypeError on names that it has not."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


class Block(nn.Module):
    """Residual: norm, three frames `dilation` apart to one, SiLU, out."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(3 * width, width)
        self.out = nn.Linear(width, width)
        with torch.no_grad():
            self.out.weight.mul_(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (batch, frames, width); the ends are held."""
        y, d = self.norm(x), self.dilation
        first, last = y[:, :1].expand(-1, d, -1), y[:, -1:].expand(-1, d, -1)
        wide = torch.cat([first, y, last], dim=1)
        n = x.shape[1]
        y = self.mix(torch.cat([wide[:, :n], y, wide[:, 2 * d : 2 * d + n]], dim=2))
        out: torch.Tensor = x + self.out(nn.functional.silu(y))
        return out


class Harmonic(nn.Module):
    """Encoder and decoder; see `dsp.timbre` for what goes in and comes out."""

    def __init__(self, config: HarmonicConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or HarmonicConfig()
        self.hear = nn.Linear(IN + COND, c.encoder)
        self.halve = nn.Linear(2 * c.encoder, c.encoder)
        self.halve_again = nn.Linear(2 * c.encoder, c.encoder)
        self.encoder = nn.ModuleList(Block(c.encoder, d) for d in c.encoder_dilations)
        self.code = nn.Linear(c.encoder, DIMS)
        self.start = nn.Linear(DIMS + COND, c.slow)
        self.slow = nn.ModuleList(Block(c.slow, d) for d in c.slow_dilations)
        self.widen = nn.Linear(c.slow, c.fast)
        self.detail = nn.Linear(COND, c.fast)
        self.fast = nn.ModuleList(Block(c.fast, d) for d in c.fast_dilations)
        self.norm = nn.LayerNorm(c.fast)
        self.say = nn.Linear(c.fast, OUT)
        with torch.no_grad():
            self.say.weight.mul_(0.3)

    def encode(self, heard: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """(batch, frames, IN), (batch, frames, COND), frames a multiple of 4 -> codes (batch, frames / 4, 16) in +-3."""
        silu = nn.functional.silu
        x = silu(self.hear(torch.cat([heard, told], dim=2)))
        b, n, w = x.shape
        x = silu(self.halve(x.reshape(b, n // 2, 2 * w)))
        x = self.halve_again(x.reshape(b, n // 4, 2 * w))
        for block in self.encoder:
            x = block(x)
        out: torch.Tensor = 3 * torch.tanh(self.code(silu(x)) / 3)
        return out

    def decode(self, codes: torch.Tensor, told: torch.Tensor, told_fast: torch.Tensor) -> torch.Tensor:
        """codes (batch, n, 16), told (batch, n, COND), told_fast (batch, 4 n, COND) -> (batch, 4 n, OUT)."""
        silu = nn.functional.silu
        x = self.start(torch.cat([codes, told], dim=2))
        for block in self.slow:
            x = block(x)
        x = upsample(self.widen(silu(x))) + self.detail(told_fast)
        for block in self.fast:
            x = block(x)
        out: torch.Tensor = self.say(silu(self.norm(x)))
        return out


def upsample(x: torch.Tensor) -> torch.Tensor:
    """(batch, n, w) -> (batch, 4 n, w), linear between the middles of code frames.

    A learned four-phase upsampler leaves a tremolo at 31.25 and 62.5 Hz; straight lines leave none.
    """
    before = torch.cat([x[:, :1], x[:, :-1]], dim=1)
    after = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
    # frame j of four lies at (j - 1.5) / 4 code frames from the middle
    parts = [before * 0.375 + x * 0.625, before * 0.125 + x * 0.875, x * 0.875 + after * 0.125, x * 0.625 + after * 0.375]
    b, n, w = x.shape
    return torch.stack(parts, dim=2).reshape(b, PER_CODE * n, w)
