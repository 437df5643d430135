"""The WaveNet's encoder on the CPU kernel: moments of the sound are the columns of the products."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from ..nets.wavenet_config import WaveNetConfig
from .kernel_simd import KEEP_RELU, NOWHERE, RELU, ROWS, aligned, in_blocks, multiply, narrowed, pack, place, stacked
from .kernel_team import board, done, draw, reset, wait

Floats = npt.NDArray[np.float32]

SPAN = 160
"""Moments that one piece of work takes through a layer: their inputs stay in the first caches."""


class _Net(NamedTuple):
    """Packed weights; start_bias, dilated_bias: as float32 of whole blocks; shift: (layers + 1, rows), the biases of all
    residuals so far, which the running sum leaves out."""

    start: Any
    start_bias: Any
    dilated: Any
    dilated_bias: Any
    residual: Any
    shift: Any
    dilations: Any


class Encoder:
    """Codes of signals, each worked on by all threads."""

    def __init__(self, w: Mapping[str, Floats], config: WaveNetConfig, *, bf16: bool) -> None:
        self.config, self.bf16 = config, bf16
        c, layers = config, range(config.encoder_layers)
        dilated = [pack(w[f"dilated.{i}.weight"].reshape(c.encoder_width, 3, -1), bf16=bf16) for i in layers]
        residual = [pack(w[f"residual.{i}.weight"][:, None], bf16=bf16) for i in layers]
        self._bottleneck = w["bottleneck.weight"], w["bottleneck.bias"]
        biases = [np.zeros(c.encoder_width, np.float32), *(w[f"residual.{i}.bias"] for i in layers)]
        self._net = _Net(
            start=pack(w["start.weight"].reshape(c.encoder_width, 1, -1), bf16=bf16),
            start_bias=in_blocks(w["start.bias"]),
            dilated=stacked(dilated),
            dilated_bias=in_blocks(np.stack([w[f"dilated.{i}.bias"] for i in layers])),
            residual=stacked(residual),
            shift=in_blocks(np.cumsum(biases, axis=0)),
            dilations=np.array(c.encoder_dilations),
        )

    def __call__(self, signal: Floats, threads: int) -> Floats:
        """Codes (batch, frames, dims) of companded bands (batch, steps, bands)."""
        c = self.config
        crew = board(threads)
        reach = max(c.encoder_dilations)
        steps, rows = signal.shape[1], self._net.start_bias.shape[0]
        item = np.uint16 if self.bf16 else np.float32
        inputs = self._net.start.shape[2] * self._net.start.shape[4]
        heard = aligned((steps, -(-inputs // 2) * 2), item)
        x = aligned((steps, rows), np.float32)
        # Two copies of what a layer hears, with silence at both ends: one is read while the other is written.
        loud = aligned((2, steps + 2 * reach, rows), item)
        hidden = aligned((threads, SPAN, rows), item)
        out = []
        with ThreadPoolExecutor(threads) as pool:
            for one in signal:
                padded = np.pad(one, ((1, 1), (0, 0)))
                heard[:, : 3 * c.bands] = narrowed(np.concatenate([padded[:-2], padded[1:-1], padded[2:]], axis=1), self.bf16)
                reset(crew)
                shares = [pool.submit(_layers, self._net, crew, heard, x, loud, hidden[i], reach) for i in range(threads)]
                for share in shares:
                    share.result()
                out.append(self._codes(x))
        return np.stack(out)

    def _codes(self, x: Floats) -> Floats:
        """The mean of a frame commutes with the bottleneck, which is linear."""
        c, (weight, bias) = self.config, self._bottleneck
        mean = x[:, : c.encoder_width].reshape(-1, c.steps, c.encoder_width).mean(axis=1, dtype=np.float64)
        codes = (mean + self._net.shift[-1, : c.encoder_width]) @ weight.T + bias
        return np.asarray(c.bound * np.tanh(codes / c.bound) if c.bound else codes, dtype=np.float32)


@numba.njit(nogil=True, cache=True)
def _layers(net, team, heard, x, loud, hidden, reach):  # type: ignore[no-untyped-def]
    """All layers over a whole sound; every thread of the team calls this with its own `hidden`."""
    steps = len(x)
    pieces = (steps + SPAN - 1) // SPAN
    one, taps = np.empty(1, np.int64), np.empty(3, np.int64)
    ticket, base = draw(team), 0
    while ticket < pieces:
        begin = ticket * SPAN
        some, to, many = x[begin:], loud[0, reach + begin :], min(SPAN, steps - begin)
        one[0], following = place(heard[begin:], 0)
        for b in range(net.start.shape[0]):
            r = b * ROWS
            shift = place(net.shift[0], r)[0]
            multiply(net.start, KEEP_RELU, b, many, one, following, place(net.start_bias, r), place(some, r), place(to, r), shift)
        ticket = done(team, ticket)
    base += pieces
    for i in range(len(net.dilations)):
        if ticket < base + pieces:
            wait(team, base)
        while ticket < base + pieces:
            begin = (ticket - base) * SPAN
            some, to, many = x[begin:], loud[(i + 1) % 2, reach + begin :], min(SPAN, steps - begin)
            for k in range(3):
                taps[k], following = place(loud[i % 2, reach + begin + (k - 1) * net.dilations[i] :], 0)
            for b in range(net.dilated.shape[1]):
                r = b * ROWS
                bias = place(net.dilated_bias[i], r)
                multiply(net.dilated[i], RELU, b, many, taps, following, bias, NOWHERE, place(hidden, r), 0)
            one[0], following = place(hidden, 0)
            for b in range(net.residual.shape[1]):
                r = b * ROWS
                at, shift = place(some, r), place(net.shift[i + 1], r)[0]
                multiply(net.residual[i], KEEP_RELU, b, many, one, following, at, at, place(to, r), shift)
            ticket = done(team, ticket)
        base += pieces
