"""The WaveNet's encoder on the CPU kernel: moments of the sound are the columns of the products.

All layers over all moments would move gigabytes. So some layers go together over a stretch of the sound that the second cache
holds, with as much around it as they hear. Layers of larger dilations hear every 32nd moment, say: for them the sound is 32
sounds, each of every 32nd moment, and the dilations are small again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from ..nets.wavenet_config import WaveNetConfig
from .kernel_emit import KEEP_RELU, PLAIN, RELU
from .kernel_simd import NOWHERE, ROWS, aligned, in_blocks, kept, multiply, narrowed, pack, place, stacked
from .kernel_team import board, done, draw, reset, wait
from .kernel_tiles import AT_ONCE, tiles_begin, tiles_end

Floats = npt.NDArray[np.float32]

SPAN = 160
"""Moments whose hidden values are made and used before the next: they stay in the first caches."""

STRETCH = 512
"""Moments, at most, that a thread takes through some layers."""

WIDEST = 16
"""The greatest dilation of layers that go together, in the least of them."""


class _Net(NamedTuple):
    """Packed weights; start_bias, dilated_bias: as float32 of whole blocks; shift: (layers + 1, rows), the biases of all
    residuals so far, which the running sum leaves out; groups: (n, 3), the first and last layer of some that go together, and
    of how many moments they hear one; dilations: in those."""

    start: Any
    start_bias: Any
    dilated: Any
    dilated_bias: Any
    residual: Any
    shift: Any
    groups: Any
    dilations: Any


class Encoder:
    """Codes of signals, each worked on by all threads."""

    def __init__(self, w: Mapping[str, Floats], config: WaveNetConfig, *, bf16: bool, tiles: bool = False) -> None:
        self.config, self.bf16 = config, bf16
        c, layers = config, range(config.encoder_layers)
        groups = _groups(c.encoder_dilations)
        how = {"bf16": bf16, "tiles": tiles}
        dilated = [pack(w[f"dilated.{i}.weight"].reshape(c.encoder_width, 3, -1), **how) for i in layers]
        residual = [pack(w[f"residual.{i}.weight"][:, None], **how) for i in layers]
        self._bottleneck = w["bottleneck.weight"], w["bottleneck.bias"]
        biases = [np.zeros(c.encoder_width, np.float32), *(w[f"residual.{i}.bias"] for i in layers)]
        self._net = _Net(
            start=pack(w["start.weight"].reshape(c.encoder_width, 1, -1), **how),
            start_bias=in_blocks(w["start.bias"]),
            dilated=stacked(dilated),
            dilated_bias=in_blocks(np.stack([w[f"dilated.{i}.bias"] for i in layers])),
            residual=stacked(residual),
            shift=in_blocks(np.cumsum(biases, axis=0)),
            groups=np.array(groups, np.int64),
            dilations=np.concatenate([np.array(c.encoder_dilations[a:b]) // apart for a, b, apart in groups]),
        )

    def __call__(self, signal: Floats, threads: int) -> Floats:
        """Codes (batch, frames, dims) of companded bands (batch, steps, bands)."""
        c = self.config
        crew = board(threads)
        steps, rows = signal.shape[1], self._net.start_bias.shape[0]
        item = np.uint16 if self.bf16 else np.float32
        inputs = self._net.start.shape[2] * self._net.start.shape[4]
        # Products may read more moments than there are.
        heard = aligned((steps + 2 * AT_ONCE, -(-inputs // 2) * 2), item)
        # Two copies each: one is read while the other is written.
        x = aligned((2, steps, rows), np.float32)
        around = STRETCH + 2 * max(int(self._net.dilations[a:b].sum()) for a, b, _ in self._net.groups) + 2 * AT_ONCE
        own = [
            (aligned((around, rows), np.float32), aligned((2, around, rows), item), aligned((SPAN, rows), item))
            for _ in range(threads)
        ]
        out = []
        with ThreadPoolExecutor(threads) as pool:
            for one in signal:
                padded = np.pad(one, ((1, 1), (0, 0)))
                three = np.concatenate([padded[:-2], padded[1:-1], padded[2:]], axis=1)
                heard[:steps, : 3 * c.bands] = narrowed(three, self.bf16)
                reset(crew)
                for share in [pool.submit(_layers, self._net, crew, heard, x, *mine) for mine in own]:
                    share.result()
                out.append(self._codes(x[len(self._net.groups) % 2]))
        return np.stack(out)

    def _codes(self, x: Floats) -> Floats:
        """The mean of a frame commutes with the bottleneck, which is linear."""
        c, (weight, bias) = self.config, self._bottleneck
        mean = x[:, : c.encoder_width].reshape(-1, c.steps, c.encoder_width).mean(axis=1, dtype=np.float64)
        codes = (mean + self._net.shift[-1, : c.encoder_width]) @ weight.T + bias
        return np.asarray(c.bound * np.tanh(codes / c.bound) if c.bound else codes, dtype=np.float32)


def _groups(dilations: Sequence[int]) -> list[tuple[int, int, int]]:
    """Layers that go together: the first, the one after the last, and the dilation that divides all of theirs."""
    groups: list[tuple[int, int, int]] = []
    begin = 0
    for i in range(1, len(dilations) + 1):
        least = dilations[begin]
        if i == len(dilations) or dilations[i] % least or dilations[i] > WIDEST * least:
            groups.append((begin, i, least))
            begin = i
    return groups


@numba.njit(nogil=True)
def _start(net, heard, around, first, last):  # type: ignore[no-untyped-def]
    """The first convolution, of what is heard at moments 0, 1 .., into `around` from `first` to `last`."""
    one = np.empty(1, np.int64)
    one[0], following = place(heard, 0)
    for b in range(net.start.shape[0]):
        r = b * ROWS
        to = place(around[first:], r)
        multiply(net.start, PLAIN, b, last - first, one, following, place(net.start_bias, r), to, NOWHERE, 0)


@numba.njit(nogil=True)
def _listen(around, first, last, loud, shift):  # type: ignore[no-untyped-def]
    """What a first layer hears of `around` from `first` to `last`; silence beyond."""
    for i in range(first):
        loud[:, i] = 0
    for i in range(last, loud.shape[1]):
        loud[:, i] = 0
    for i in range(first, last):
        for r in range(around.shape[1]):
            loud[0, i, r] = kept(max(around[i, r] + shift[r], np.float32(0)), loud)


@numba.njit(nogil=True)
def _layer(net, layer, around, loud, heard, hidden, low, high):  # type: ignore[no-untyped-def]
    """A layer over the moments from `low` to `high`: `loud[heard]` is what it hears, the other what the next will."""
    one, taps = np.empty(1, np.int64), np.empty(3, np.int64)
    # A slice is counted by an atomic instruction: none in the loops.
    dilated, residual = net.dilated[layer], net.residual[layer]
    bias, shift = place(net.dilated_bias[layer], 0)[0], place(net.shift[layer + 1], 0)[0]
    hears, said = loud[heard], loud[1 - heard]
    at, following = place(hears, 0)
    now, row = place(around, 0)
    to, wide = place(said, 0)
    mid, between = place(hidden, 0)
    for begin in range(low, high, SPAN):
        many = min(SPAN, high - begin)
        for k in range(3):
            taps[k] = at + (begin + (k - 1) * net.dilations[layer]) * following
        for b in range(dilated.shape[0]):
            r = b * ROWS
            kept_at = (mid + r * hidden.itemsize, between)
            multiply(dilated, RELU, b, many, taps, following, (bias + 4 * r, 0), NOWHERE, kept_at, 0)
        one[0] = mid
        for b in range(residual.shape[0]):
            r = b * ROWS
            some, kept_at = (now + begin * row + 4 * r, row), (to + begin * wide + r * said.itemsize, wide)
            multiply(residual, KEEP_RELU, b, many, one, between, some, some, kept_at, shift + 4 * r)


@numba.njit(nogil=True, cache=True)
def _layers(net, team, heard, x, around, loud, hidden):  # type: ignore[no-untyped-def]
    """All layers over a whole sound; every thread of the team calls this with arrays of its own after x."""
    _, steps, rows = x.shape
    ticket, base = draw(team), 0
    tiles_begin(net.dilated, AT_ONCE)
    for g in range(len(net.groups)):
        begin, end, apart = net.groups[g]
        beyond = net.dilations[begin:end].sum()
        longest = (steps + apart - 1) // apart
        stretches = (longest + STRETCH - 1) // STRETCH
        stretch = (longest + stretches - 1) // stretches
        pieces = apart * stretches
        if ticket < base + pieces:
            wait(team, base)
        while ticket < base + pieces:
            phase, begins = (ticket - base) % apart, (ticket - base) // apart * stretch
            length = (steps - phase + apart - 1) // apart
            many = min(stretch, length - begins)
            if many > 0:
                # What lies around a stretch of x begins `beyond` before it.
                first, last = max(0, beyond - begins), min(many + 2 * beyond, length - begins + beyond)
                start = phase + apart * (begins - beyond)
                if g == 0:
                    _start(net, heard[start + first :], around, first, last)
                else:
                    for i in range(first, last):
                        for r in range(rows):
                            around[i, r] = x[g % 2, start + apart * i, r]
                _listen(around, first, last, loud, net.shift[begin])
                passed = 0
                for i in range(begin, end):
                    passed += net.dilations[i]
                    low, high = max(first, passed), min(last, many + 2 * beyond - passed)
                    _layer(net, i, around, loud, (i - begin) % 2, hidden, low, high)
                for i in range(beyond, beyond + many):
                    for r in range(rows):
                        x[1 - g % 2, start + apart * i, r] = around[i, r]
            ticket = done(team, ticket)
        base += pieces
    tiles_end(net.dilated)
