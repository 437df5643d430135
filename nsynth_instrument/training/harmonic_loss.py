"""What the harmonic voice is judged by in training."""

from __future__ import annotations

import numpy as np
import torch

from ..dsp import timbre
from ..dsp.hiss import CLEAN
from ..dsp.partials import BAND_EDGES, BANDS, HIGHEST, PIECES, SLOTS
from ..nets.harmonic import Harmonic

HISS = 3.0
"""What noise that is said too loud costs in a band that is clean beside a note's loudest partial, of what it costs elsewhere."""


class WithLoss(torch.nn.Module):
    """The network and what it is judged by: decibels of partials, cents, decibels of noise."""

    widths: torch.Tensor

    outer = ("net.hear", "net.code", "net.say")
    """First and last layers, whose rows are not alike."""

    def __init__(self, net: Harmonic) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("widths", torch.from_numpy(10 * np.log10(np.diff(BAND_EDGES))).float(), persistent=False)

    def forward(
        self, heard: torch.Tensor, heard_told: torch.Tensor, told: torch.Tensor, told_fast: torch.Tensor,
        positions: torch.Tensor, level: torch.Tensor, offset: torch.Tensor, noise: torch.Tensor,
        deviation: torch.Tensor, attack: torch.Tensor, onset: torch.Tensor, peak: torch.Tensor, f0: torch.Tensor,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Scalars: loss, level (dB), offset, noise (dB), deviation (cents), fluctuation (nats), attack (dB)."""
        codes = self.net.encode(heard, heard_told)
        if self.training:
            codes = codes + self.net.config.code_noise * torch.randn_like(codes)
        return self.judge(codes, told, told_fast, positions, level, offset, noise, deviation, attack, onset, peak, f0)

    def judge(
        self, codes: torch.Tensor, told: torch.Tensor, told_fast: torch.Tensor,
        positions: torch.Tensor, level: torch.Tensor, offset: torch.Tensor, noise: torch.Tensor,
        deviation: torch.Tensor, attack: torch.Tensor, onset: torch.Tensor, peak: torch.Tensor, f0: torch.Tensor,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """The same of codes (batch, n, 16), as they are."""
        raw = self.net.decode(codes, told, told_fast).float()
        cuts = [timbre.POINTS, SLOTS, SLOTS, BANDS, 1, timbre.ORDERS * timbre.ZONES, timbre.ORDERS, PIECES]
        envelope, correction, shifts, bands, cents, levels, pitches, onsets = torch.split(raw, cuts, dim=2)
        says = (_read(envelope, positions) + correction) * 25 - 80
        shifts, bands, cents = shifts * 0.25, bands * 25 - 110, cents[:, :, 0] * 20

        k = torch.arange(1, SLOTS + 1, device=level.device)
        there = (k[None] * f0[:, None] < HIGHEST)[:, None].float()
        peak = peak[:, None, None]
        low = peak - timbre.DEPTH
        loudest = level.amax(dim=2, keepdim=True)
        # Each slot counts by how far the louder of truth and guess stands over the floor; frames by their loudest partial.
        weight = ((torch.maximum(level, says.detach()) - low) / 30).clamp(0.02, 1) * there
        weight = weight / weight.sum(dim=2, keepdim=True).clamp(min=1)
        frame = ((loudest - peak + 70) / 40).clamp(0.05, 1)
        miss = (torch.maximum(says, low) - torch.maximum(level, low)).abs()
        by_level = (miss * weight * frame).sum(dim=2).mean()

        sounding = ((level - loudest + 40) / 40).clamp(0, 1) * ((loudest - peak + 50) / 40).clamp(0, 1) * there
        cents_off: torch.Tensor = ((shifts - offset).abs() * 1731 / k).clamp(max=100)
        # In parts of the slot, in cents (what is heard of low partials), and in bins of 23 Hz (what is heard of high ones).
        bins = ((shifts - offset).abs() * (f0[:, None, None] / 23.4)).clamp(max=2)
        astray = (shifts - offset).abs() * 4 + cents_off * 0.02 + bins * 0.5
        by_offset = (astray * sounding).sum(dim=2).mean()

        hush = peak - 110
        audible = ((torch.maximum(noise, bands.detach()) - hush) / 30).clamp(0.1, 1)
        over = torch.maximum(bands, hush) - torch.maximum(noise, hush)
        # What is heard of noise where there should be none is hiss, of a band too quiet nothing.
        clean = noise + self.widths < peak + CLEAN
        by_noise = (torch.where(clean & (over > 0), HISS * over, over.abs()) * audible).mean()
        steady = ((loudest - peak + 50) / 40).clamp(0, 1)[:, :, 0]
        by_cents = ((cents - deviation).abs().clamp(max=60) * steady).mean()
        # What is faint wavers with the noise around it, which is played beside it: the loud partials tell how the sound does.
        carries = weight * frame * 10 ** ((level - loudest) / 40)
        fluctuation = self._fluctuation(level - says, carries, levels, deviation - cents, steady, pitches, positions)
        by_attack = ((onsets * 20 - attack).abs().mean(dim=2) * onset).sum() / onset.sum().clamp(min=1)
        loss = by_level + by_offset + 0.7 * by_noise + 0.2 * by_cents + 0.1 * fluctuation + 0.1 * by_attack
        return {
            "loss": loss, "level": by_level, "offset": by_offset, "noise": by_noise, "deviation": by_cents,
            "fluctuation": fluctuation, "attack": by_attack,
        }  # fmt: skip

    def _fluctuation(
        self, rest: torch.Tensor, weight: torch.Tensor, levels: torch.Tensor, cents: torch.Tensor, steady: torch.Tensor,
        pitches: torch.Tensor, positions: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Laplace likelihood of what the network did not say, of its change and of the change of that, under sizes it must guess.

        Without its course over a quarter of a second: a timbre misjudged is no fluctuation.
        """
        rest, cents = _quick(rest.detach()), _quick(cents.detach()[:, :, None])
        at = positions * ((timbre.ZONES - 1) / (timbre.POINTS - 1))
        total = torch.zeros((), device=rest.device)
        logs = _sizes(levels.clamp(-6, 4), at), pitches.clamp(-6, 6)[:, :, :, None]
        for error, log, w in ((rest, logs[0], weight), (cents, logs[1], steady[:, :, None])):
            for order in range(timbre.ORDERS):
                error = error.diff(dim=1) if order else error
                log_, w_ = log[:, order:, order], w[:, order:]
                total = total + ((error.abs().clamp(max=60) * torch.exp(-log_) + log_) * w_).sum() / w_.sum().clamp(min=1)
        return total


def _sizes(grid: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """(batch, frames, ORDERS * ZONES) read at (batch, SLOTS) positions: (batch, frames, ORDERS, SLOTS)."""
    b, n, _ = grid.shape
    return _read(grid.reshape(b, n * timbre.ORDERS, timbre.ZONES), at).reshape(b, n, timbre.ORDERS, -1)


def _quick(x: torch.Tensor, frames: int = timbre.COURSE) -> torch.Tensor:
    """(batch, frames, n) without its moving mean."""
    mean = torch.nn.functional.avg_pool1d(x.transpose(1, 2), frames, 1, frames // 2, count_include_pad=False)
    return x - mean.transpose(1, 2)


def _read(grid: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """(batch, frames, points) read at (batch, SLOTS) positions by linear interpolation: one product with a band matrix."""
    points = torch.arange(grid.shape[2], device=grid.device)
    matrix = (1 - (positions[:, None, :] - points[None, :, None]).abs()).clamp(min=0)
    return torch.bmm(grid, matrix)
