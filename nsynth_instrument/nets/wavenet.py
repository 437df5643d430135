"""The WaveNet autoencoder of the NSynth paper (Engel et al. 2017, section 2.1), written once for training and generation.

Layouts: time before channels. Taps lie side by side in the channels, oldest first. The rows of `condition`
are all layers' conditioning in order, then that of `out1`; those of a layer's `join` are its residual, then its skip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..dsp.mulaw import CLASSES, ZERO
from .wavenet_config import LEAST, MOST, WaveNetConfig

ENCODER_KERNEL = 3
LOUD = 32
"""Steps before and after one over which a band's level is taken."""


def shifted(x: Tensor, steps: int) -> Tensor:
    """x (batch, time, channels) as it was `steps` ago, or will be if negative; zeros beyond its ends."""
    time = x.shape[1]
    return F.pad(x, (0, 0, steps, 0))[:, :time] if steps >= 0 else F.pad(x, (0, 0, 0, -steps))[:, -steps:]


class Encoder(nn.Module):
    """Band signals -> codes: dilated convolutions that see both ways, then the mean of each frame."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder_width
        self.start = nn.Linear(ENCODER_KERNEL * config.bands, width)
        self.dilated = nn.ModuleList(nn.Linear(ENCODER_KERNEL * width, width) for _ in range(config.encoder_layers))
        self.residual = nn.ModuleList(nn.Linear(width, width) for _ in range(config.encoder_layers))
        self.bottleneck = nn.Linear(width, config.dims)

    def forward(self, signal: Tensor) -> Tensor:
        """Codes (batch, frames, dims) of companded bands (batch, frames * steps, bands)."""

        def taps(x: Tensor, dilation: int) -> Tensor:
            return torch.cat([shifted(x, dilation), x, shifted(x, -dilation)], dim=-1)

        x = self.start(taps(signal, 1))
        for dilation, dilated, residual in zip(self.config.encoder_dilations, self.dilated, self.residual, strict=True):
            x = x + residual(F.relu(dilated(taps(F.relu(x), dilation))))
        codes: Tensor = self.bottleneck(x).reshape(x.shape[0], -1, self.config.steps, self.config.dims).mean(dim=2)
        return self.config.bound * torch.tanh(codes / self.config.bound) if self.config.bound else codes


class Layer(nn.Module):
    """A gated dilated convolution with its residual and skip outputs (van den Oord et al. 2016, section 2.3)."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.dilated = nn.Linear(config.kernel * config.width, 2 * config.width)
        self.join = nn.Linear(config.width, config.width + config.skip)

    def forward(self, taps: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Residual (..., width) and skip (..., skip) of taps (..., kernel * width) and condition (..., 2 width)."""
        gate, content = (self.dilated(taps) + condition).chunk(2, dim=-1)
        both = self.join(torch.sigmoid(gate) * torch.tanh(content))
        width = gate.shape[-1]
        return both[..., :width], both[..., width:]


class Decoder(nn.Module):
    """Past bands, a source and a frame's condition -> what is said of the next bands."""

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__()
        self.config = config
        self.start = nn.Linear(config.kernel * config.bands + config.source, config.width)
        self.skip_start = nn.Linear(config.width, config.skip)
        self.condition = nn.Linear(config.conditions, config.layers * 2 * config.width + config.skip)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.out1 = nn.Linear(config.skip, config.skip)
        self.logits = nn.Linear(config.skip, config.bands * config.says)
        with torch.no_grad():
            if config.head == "classes":
                self.logits.weight.copy_(_smooth(config.bands, config.skip))
            else:
                self.logits.weight.mul_(0.1)

    def through(self, heard: Tensor, condition: Tensor, taps: Callable[[int, Tensor], Tensor]) -> Tensor:
        """What is said of each band, (..., bands, says): logits of 256 classes, or mean and log deviation.

        heard (..., kernel * bands + source): the last steps' bands, oldest first, and the source; condition
        (..., all rows of `condition`); taps(i, now): input (..., kernel * width) of layer i, whose present is `now`.
        """
        width = 2 * self.config.width
        x = self.start(heard)
        skip = self.skip_start(x)
        for i, layer in enumerate(self.layers):
            residual, more = layer(taps(i, x), condition[..., i * width : (i + 1) * width])
            x, skip = x + residual, skip + more
        skip = F.relu(self.out1(F.relu(skip)) + condition[..., self.config.layers * width :])
        out: Tensor = self.logits(skip)
        return out.reshape(*out.shape[:-1], self.config.bands, self.config.says)

    def forward(self, signal: Tensor, source: Tensor, conditions: Tensor) -> Tensor:
        """What is said (batch, steps, bands, says) of a whole known signal.

        signal (batch, steps, bands) companded; source (batch, steps, source); conditions (batch, frames, conditions).
        """
        kernel = self.config.kernel

        def framed(x: Tensor) -> Tensor:
            return x.reshape(x.shape[0], -1, self.config.steps, x.shape[2])

        def past(x: Tensor, dilation: int) -> Tensor:
            return torch.cat([shifted(x, k * dilation) for k in range(kernel - 1, 0, -1)] + [x], dim=-1)

        def taps(i: int, now: Tensor) -> Tensor:
            return framed(past(now.flatten(1, 2), self.config.dilations[i]))

        heard = framed(torch.cat([past(shifted(signal, 1), 1), source], dim=-1))
        return self.through(heard, self.condition(conditions)[:, :, None], taps).flatten(1, 2)

    def step(self, heard: Tensor, condition: Tensor, past: Sequence[Sequence[Tensor]]) -> tuple[Tensor, list[Tensor]]:
        """One step of generation: what is said (batch, bands, says), and each layer's input (batch, width) to keep.

        heard (batch, kernel * bands + source); condition (batch, rows); past[i]: layer i's kernel - 1
        kept inputs, oldest first.
        """
        kept: list[Tensor] = []

        def taps(i: int, now: Tensor) -> Tensor:
            kept.append(now)
            return torch.cat([*past[i], now], dim=-1)

        return self.through(heard, condition, taps), kept


def _smooth(bands: int, inputs: int) -> Tensor:
    """First weights (bands * 256, inputs) of the logits: smooth over the classes, whose order then need not be learned."""
    wave = torch.arange(16)
    class_ = (torch.arange(CLASSES) + 0.5) / CLASSES
    basis = torch.cos(math.pi * wave * class_[:, None]) / (1 + wave)
    return torch.flatten(basis @ torch.randn(bands, len(wave), inputs), 0, 1) * (0.5 / math.sqrt(inputs))


def sample(logits: Tensor, noise: Tensor, temperature: Tensor) -> Tensor:
    """Classes (...) of logits (..., 256) by inverse CDF at noise (...) in [0, 1); the same in every runtime."""
    weights = torch.exp((logits - logits.amax(dim=-1, keepdim=True)) / temperature)
    total = weights.cumsum(dim=-1)
    # A float32 sum may top out under noise * total: the last class is then meant.
    drawn: Tensor = (total <= (noise[..., None] * total[..., -1:])).sum(dim=-1)
    return torch.clamp(drawn, max=CLASSES - 1)


def companded(levels: Tensor) -> Tensor:
    """How levels (in units of their scale) are heard: near 0 as they are, large ones by their root."""
    return levels / torch.sqrt(1 + levels.abs())


def level(said: Tensor, noise: Tensor, temperature: Tensor) -> Tensor:
    """Levels (...) of means and log deviations (..., 2) at standard normal noise (...); the same in every runtime."""
    drawn: Tensor = said[..., 0] + torch.exp(said[..., 1].clamp(LEAST, MOST)) * temperature * noise
    return drawn


def draw(said: Tensor, noise: Tensor, temperature: Tensor, config: WaveNetConfig) -> Tensor:
    """The next bands (...) of what is said of them (..., says): classes by `sample`, or levels by `level`."""
    return sample(said, noise, temperature) if config.head == "classes" else level(said, noise, temperature)


def heard(drawn: Tensor, config: WaveNetConfig) -> Tensor:
    """How drawn bands (...) are heard as the past."""
    return (drawn.float() - ZERO) / (CLASSES // 2) if config.head == "classes" else companded(drawn)


class Guided(nn.Module):
    """A decoder that follows a guide and has no encoder; forward is the training loss."""

    def __init__(self, config: WaveNetConfig, *, past_noise: float = 0.0, past_share: float = 0.0) -> None:
        """past_noise: deviation of what is added to the past in training, as generation will have errors of its own; past_share:
        the same as a share of the band's level about then, so that what rings is not trusted to ring on by itself.
        """
        super().__init__()
        self.config, self.past_noise, self.past_share = config, past_noise, past_share
        self.decoder = Decoder(config)
        for layer in self.decoder.layers:
            assert isinstance(layer, Layer)
            layer.join.weight.data.mul_(0.5)

    def forward(self, target: Tensor, source: Tensor, told: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Weighted negative log likelihood in nats per band sample.

        target, weight (batch, steps, bands): levels in units of their scale, and how much each counts; source (batch, steps,
        source); told (batch, frames, conditions).
        """
        past = target
        if self.training and (self.past_noise or self.past_share):
            size = target.new_tensor(self.past_noise)
            if self.past_share:
                power = F.avg_pool1d(target.square().mT, 2 * LOUD + 1, 1, LOUD, count_include_pad=False).mT
                size = torch.hypot(size, self.past_share * power.sqrt())
            past = past + size * torch.randn_like(past)
        said = self.decoder(companded(past), source, told).float()
        spread = said[..., 1].clamp(LEAST, MOST)
        z = (target - said[..., 0]) * torch.exp(-spread)
        # Beyond 4 deviations the cost grows only linearly: one click must not outweigh a second of sound.
        cost = torch.where(z.abs() < 4, 0.5 * z * z, 4 * z.abs() - 8)
        return {"loss": ((cost + spread) * weight).sum() / weight.sum()}


class WaveNet(nn.Module):
    """Encoder and decoder; forward is the training loss."""

    def __init__(self, config: WaveNetConfig, *, code_noise: float = 0.0) -> None:
        """code_noise: standard deviation of what is added to codes in training, so that near codes sound alike."""
        super().__init__()
        self.config, self.code_noise = config, code_noise
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        for layer in self.decoder.layers:
            assert isinstance(layer, Layer)
            layer.join.weight.data.mul_(0.5)

    def forward(self, heard: Tensor, target: Tensor, side: Tensor) -> dict[str, Tensor]:
        """Loss in nats per band sample.

        heard (batch, steps, bands): companded, for the encoder; target (batch, steps, bands): uint8 classes;
        side (batch, conditions - dims): pitch and velocity as `conditioning` has them.
        """
        codes = self.encoder(heard)
        if self.training and self.code_noise:
            codes = codes + self.code_noise * torch.randn_like(codes)
        conditions = torch.cat([codes, side[:, None].expand(-1, codes.shape[1], -1)], dim=-1)
        signal = (target.float() - ZERO) / 128
        logits = self.decoder(signal, signal[..., :0], conditions)
        return {"loss": F.cross_entropy(logits.float().flatten(0, 2), target.long().flatten())}


def build(config: WaveNetConfig, *, code_noise: float = 0.0, past_noise: float = 0.0) -> WaveNet | Guided:
    """The network of a configuration; the noises are of training, see each."""
    return Guided(config, past_noise=past_noise) if config.guide else WaveNet(config, code_noise=code_noise)
