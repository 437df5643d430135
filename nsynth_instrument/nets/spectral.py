"""The spectral autoencoders: the published one, and a small one whose codes run along time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..codes import DIMS
from ..dsp.spectra import BINS, HARMONICS, LATENT
from ..dsp.timbre import COND
from .harmonic import Block
from .spectral_config import DECODER, ENCODER, ENVELOPE, EPSILON, LEAK, NATS, NOISE, OUT, PITCH, SpectralConfig, Strides, grid


class Convolution(nn.Module):
    """A convolution or its transpose as TensorFlow pads it, and its normalisation, which has no gain.

    Under padding SAME an output has ceil(n / stride) places, and of an odd padding the larger part comes after.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: Strides, *, transposed: bool = False) -> None:
        super().__init__()
        shape = (inputs, outputs) if transposed else (outputs, inputs)
        self.kernel, self.stride, self.transposed = kernel, stride, transposed
        self.weight = nn.Parameter(torch.empty(*shape, kernel, kernel))
        nn.init.xavier_uniform_(self.weight)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON, momentum=1e-3)
        self.norm.register_parameter("weight", None)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) -> (batch, outputs, ...), before the activation."""
        pads = [max(self.kernel - s, 0) for s in self.stride]  # sizes are multiples of the strides
        (top, left), (high, wide) = (p // 2 for p in pads), (p - p // 2 for p in pads)
        if self.transposed:
            y = F.conv_transpose2d(x, self.weight, stride=self.stride)
            y = y[:, :, top : y.shape[2] - high, left : y.shape[3] - wide]
        else:
            y = F.conv2d(F.pad(x, (left, wide, top, high)), self.weight, stride=self.stride)
        out: Tensor = self.norm(y)
        return out


class Published(nn.Module):
    """The baseline of the paper: a note's log magnitudes, 512 bins by 256 spectra, as one vector of 1984 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict()
        width = 1
        for name, kernel, stride, channels in ENCODER:
            self.encoder[name] = Convolution(width, channels, kernel, stride)
            width = channels
        self.pitch = nn.Parameter(torch.randn(128, PITCH))
        self.decoder = nn.ModuleDict()
        width = LATENT + PITCH
        for name, kernel, stride, channels in DECODER:
            self.decoder[name] = Convolution(width, channels, kernel, stride, transposed=True)
            width = channels
        self.mag = nn.Linear(width, 1)

    def encode(self, heard: Tensor) -> Tensor:
        """heard (batch, 512, 256), in 0..1 -> z (batch, 1984)."""
        x = heard[:, None]
        for name, layer in self.encoder.items():
            x = layer(x)
            x = x if name == "z" else torch.maximum(x, LEAK * x)
        return x[:, :, 0, 0]

    def decode(self, z: Tensor, pitch: Tensor) -> Tensor:
        """z (batch, 1984), pitch int64 (batch,) -> magnitudes (batch, 512, 256) in 0..1."""
        x = torch.cat([z, self.pitch[pitch]], dim=1)[:, :, None, None]
        for layer in self.decoder.values():
            x = layer(x)
            x = torch.maximum(x, LEAK * x)
        out: Tensor = torch.sigmoid(self.mag(x.permute(0, 2, 3, 1)))[..., 0]
        return out


class Frames(nn.Module):
    """Log magnitudes -> 16 codes at 31.25 Hz -> log magnitudes at any pitch and velocity.

    Levels are dB re a sine of full scale, halved and shifted to about +-1: level = dB / 50 + 1. What it says of a spectrum is
    an envelope over the harmonics, whose places it is told, over noise, and the rest bin by bin.
    """

    envelope: Tensor
    noise: Tensor

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        c = self.config = config
        self.hear = nn.Linear(BINS + COND, c.encoder)
        self.halve = nn.Linear(2 * c.encoder, c.encoder)
        self.encoder = nn.ModuleList(Block(c.encoder, d) for d in c.encoder_dilations)
        self.code = nn.Linear(c.encoder, DIMS)
        self.start = nn.Linear(DIMS + COND, c.slow)
        self.slow = nn.ModuleList(Block(c.slow, d) for d in c.slow_dilations)
        self.widen = nn.Linear(c.slow, c.fast)
        self.detail = nn.Linear(COND, c.fast)
        self.fast = nn.ModuleList(Block(c.fast, d) for d in c.fast_dilations)
        self.norm = nn.LayerNorm(c.fast)
        self.say = nn.Linear(c.fast, OUT)
        self.register_buffer("envelope", torch.from_numpy(grid(ENVELOPE)), persistent=False)
        self.register_buffer("noise", torch.from_numpy(grid(NOISE)), persistent=False)
        with torch.no_grad():
            self.say.weight.mul_(0.3)
            self.say.weight[-BINS:].mul_(0.1)

    def encode(self, heard: Tensor, told: Tensor) -> Tensor:
        """(batch, 2 n, BINS), (batch, 2 n, COND) -> codes (batch, n, 16) in +-3."""
        x = F.silu(self.hear(torch.cat([heard, told], dim=2)))
        b, n, w = x.shape
        x = self.halve(x.reshape(b, n // 2, 2 * w))
        for block in self.encoder:
            x = block(x)
        codes: Tensor = 3 * torch.tanh(self.code(F.silu(x)) / 3)
        return codes

    def decode(self, codes: Tensor, told: Tensor, told_fast: Tensor, number: Tensor, comb: Tensor) -> Tensor:
        """Levels (batch, 2 n, BINS).

        codes (batch, n, 16); told (batch, n, COND), told_fast (batch, 2 n, COND): see `dsp.timbre.condition`;
        number, comb (batch, BINS): see `dsp.spectra.harmonics`.
        """
        x = self.start(torch.cat([codes, told], dim=2))
        for block in self.slow:
            x = block(x)
        x = doubled(self.widen(F.silu(x))) + self.detail(told_fast)
        for block in self.fast:
            x = block(x)
        envelope, correction, noise, rest = self.say(F.silu(self.norm(x))).split([ENVELOPE, HARMONICS, NOISE, BINS], dim=2)
        # In units of 25 dB, as far as the sums of powers, which are in nats.
        order = torch.arange(1, HARMONICS + 1, device=codes.device)
        near = (1 - (number[:, None] - order[None, :, None]).abs()).clamp(min=0)
        tonal = (envelope @ self.envelope + correction @ near) * 0.5 + comb[:, None] / 50
        level: Tensor = torch.logaddexp(tonal * NATS, (noise @ self.noise * 0.5 - 0.6) * NATS) / NATS + rest * 0.2
        return level


def doubled(x: Tensor) -> Tensor:
    """(batch, n, w) -> (batch, 2 n, w), linear between the middles of code frames."""
    before = torch.cat([x[:, :1], x[:, :-1]], dim=1)
    after = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
    b, n, w = x.shape
    return torch.stack([before * 0.25 + x * 0.75, x * 0.75 + after * 0.25], dim=2).reshape(b, 2 * n, w)


def build(config: SpectralConfig) -> Published | Frames:
    """The network of a configuration."""
    return Published() if config.form == "nfft_1024" else Frames(config)
