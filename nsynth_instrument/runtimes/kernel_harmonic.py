"""The harmonic network by NumPy and Numba: the base install's own, no torch, no ONNX Runtime.

The matrices go through BLAS, or AMX's tiles; what lies between them (norms, SiLU, upsampling) is passes over the frames of one
note, which then stay in cache.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from threading import Lock
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..dsp.curves import sigmoid
from ..dsp.wide import wide
from ..errors import BundleError
from .kernel_halves import ROWS, WORTH, Product, halve, halve_norm, halve_silu, hold_ends, in_blocks, multiply, packed, room
from .kernel_simd import stacked
from .kernel_tiles import has_tiles
from .kernel_winograd import Convolution

Floats = npt.NDArray[np.float32]


class Blocks:
    """Matrices, norms and residual blocks by name, as the networks over frames share them.

    matrix, gain, bias: float32 by the names of their layers; a matrix is (inputs, outputs).
    """

    def __init__(
        self, weights: Mapping[str, npt.NDArray[Any]], dilations: Mapping[str, Sequence[int]], layers: Sequence[str],
        *, tiles: bool = False,
    ) -> None:  # fmt: skip
        """dilations: of the chains of blocks, by their names; layers: names of the others; tiles: whether to multiply by those.

        Raises BundleError where one of them has no weights.
        """
        f32 = {k: np.asarray(v, np.float32) for k, v in weights.items()}
        self.matrix = {k[:-7]: np.ascontiguousarray(v.T) for k, v in f32.items() if k.endswith(".weight") and v.ndim == 2}
        self.gain = {k[:-7]: v for k, v in f32.items() if k.endswith(".weight") and v.ndim == 1}
        self.bias = {k[:-5]: v for k, v in f32.items() if k.endswith(".bias")}
        self.dilations = {k: tuple(v) for k, v in dilations.items()}
        chained = [f"{k}.{i}.{part}" for k, v in self.dilations.items() for i in range(len(v)) for part in ("mix", "out")]
        if missing := [name for name in (*layers, *chained) if name not in self.matrix or name not in self.bias]:
            why = f"no {missing[0]}"
            raise BundleError(f"the weights are not those of the network in the manifest ({why}); export the model again")
        self._large = {k for k, w in self.matrix.items() if tiles and k in self.bias and len(w) >= WORTH}
        self._products: dict[str, Product] = {}
        self._convolutions: dict[str, Convolution] = {}
        self._making = Lock()

    def _product(self, name: str) -> Product | None:
        """By tiles, if it goes by those; made when it is first asked for, since seldom are both halves of a network."""
        if name not in self._large:
            return None
        with self._making:
            if name not in self._products:
                self._products[name] = Product(self.matrix[name], self.bias[name], taps=3 if name.endswith(".mix") else 1)
            return self._products[name]

    def _convolution(self, name: str) -> Convolution:
        """Of a block whose frames go by no tiles; made when it is first asked for, too."""
        with self._making:
            if name not in self._convolutions:
                self._convolutions[name] = Convolution(self.matrix[name], self.bias[name])
            return self._convolutions[name]

    def linear(self, name: str, x: Floats) -> Floats:
        """x (frames, inputs) -> (frames, outputs)."""
        if (product := self._product(name)) is not None:
            return product(x)
        y: Floats = x @ self.matrix[name]
        y += self.bias[name]
        return y

    def blocks(self, kind: str, x: Floats) -> Floats:
        """x (frames, width) through a chain of `nets.harmonic.Block`, in place."""
        for i, dilation in enumerate(self.dilations[kind]):
            x += self.linear(f"{kind}.{i}.out", silu(self.mixed(f"{kind}.{i}", x, dilation)))
        return x

    def mixed(self, name: str, x: Floats, dilation: int) -> Floats:
        """What comes to a block's SiLU: x (frames, width) normed, of that three frames `dilation` apart to one."""
        multiply = self._product(f"{name}.mix") or self._convolution(f"{name}.mix")
        return multiply(norm(x, self.gain[f"{name}.norm"], self.bias[f"{name}.norm"]), dilation)


LAYERS = ("hear", "halve", "halve_again", "code", "start", "widen", "detail", "say")
"""Of the harmonic network, beside its chains of blocks."""


def dilations(config: Mapping[str, Any]) -> dict[str, Sequence[int]]:
    """Of the harmonic network's chains, by a manifest. Raises BundleError where it lacks them."""
    try:
        return {k: config[f"{k}_dilations"] for k in ("encoder", "slow", "fast")}
    except KeyError as e:
        raise BundleError(f"the manifest lacks the network's {e}; export the model again") from e


class HarmonicKernel:
    """`HarmonicNetwork` over weights by name, as `nets.harmonic.Harmonic` names them; see there for the shapes."""

    runtime = "kernel (CPU)"
    together = 2

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], config: Mapping[str, Any], *, threads: int | None = None) -> None:
        """threads: notes worked on at once, a thread each; by default one for each processor core.

        Raises BundleError for weights that are not the configuration's.
        """
        self.threads = threads or os.cpu_count() or 1
        self._net = Blocks(weights, dilations(config), LAYERS, tiles=has_tiles())
        widths = len(self._net.bias["start"]), len(self._net.bias["widen"])
        self._tiled = has_tiles() and all(w >= WORTH and w % ROWS == 0 for w in widths)

    def encode(self, heard: Floats, told: Floats) -> Floats:
        """See `HarmonicNetwork.encode`."""
        with ThreadPoolExecutor(self.threads) as pool:
            return np.stack(list(pool.map(self._encode, heard, told)))

    def decode(self, codes: Floats, told: Floats, told_fast: Floats) -> Floats:
        """See `HarmonicNetwork.decode`."""
        firsts = range(0, len(codes), self.together)
        if len(firsts) == 1:
            return self._few(codes, told, told_fast)
        with ThreadPoolExecutor(self.threads) as pool:
            parts = ([a[i : i + self.together] for a in (codes, told, told_fast)] for i in firsts)
            return np.concatenate(list(pool.map(lambda part: self._few(*part), parts)))

    def _few(self, codes: Floats, told: Floats, told_fast: Floats) -> Floats:
        """`decode` in this thread."""
        if not self._tiled:
            return self._each(codes, told, told_fast)
        start = np.concatenate([codes, told], axis=2, dtype=np.float32)
        said: Floats = _decoded(start, np.ascontiguousarray(told_fast, np.float32), *self._packed)
        return said[:, : told_fast.shape[1], : len(self._net.bias["say"])]

    def _encode(self, heard: Floats, told: Floats) -> Floats:
        net = self._net
        x = silu(net.linear("hear", np.concatenate([heard, told], axis=1)))
        x = silu(net.linear("halve", x.reshape(len(x) // 2, -1)))
        x = net.linear("halve_again", x.reshape(len(x) // 2, -1))
        x = net.blocks("encoder", x)
        return np.asarray(3 * np.tanh(net.linear("code", silu(x)) / 3), dtype=np.float32)

    def _each(self, codes: Floats, told: Floats, told_fast: Floats) -> Floats:
        """`decode` by no tiles, note by note: BLAS adds up the same rows in another order where there are more of them, and a
        note shall not depend on the others."""
        net = self._net
        said = np.empty((*told_fast.shape[:2], len(net.bias["say"])), np.float32)
        for i in range(len(codes)):
            x = net.blocks("slow", net.linear("start", np.concatenate([codes[i], told[i]], axis=1, dtype=np.float32)))
            y = net.linear("detail", told_fast[i])
            add_upsampled(net.linear("widen", silu(x)), y)
            said[i] = net.linear("say", silu(norm(net.blocks("fast", y), net.gain["norm"], net.bias["norm"])))
        return said

    @cached_property
    def _packed(self) -> tuple[Any, ...]:
        """The decoder's weights as `_decoded` takes them."""
        net = self._net

        def layer(name: str) -> tuple[Any, Any]:
            return packed(net.matrix[name]), in_blocks(net.bias[name])

        def chain(kind: str) -> tuple[Any, ...]:
            names = [f"{kind}.{i}" for i in range(len(net.dilations[kind]))]
            norms = np.stack([np.stack([net.gain[f"{n}.norm"], net.bias[f"{n}.norm"]]) for n in names])
            mixes, outs = ([packed(net.matrix[f"{n}.{part}"], taps) for n in names] for part, taps in (("mix", 3), ("out", 1)))
            shifts = np.stack([np.stack([net.bias[f"{n}.mix"], net.bias[f"{n}.out"]]) for n in names])
            return np.array(net.dilations[kind]), norms, stacked(mixes), stacked(outs), shifts

        last = np.stack([net.gain["norm"], net.bias["norm"]])
        return layer("start"), chain("slow"), layer("widen"), layer("detail"), chain("fast"), last, layer("say")


@numba.njit(nogil=True, cache=True)
def _decoded(codes, told, start, slow, widen, detail, fast, last, say):  # type: ignore[no-untyped-def]
    """By tiles, with layers as `_packed` has them: what is said, and some more (notes, whole frames, whole outputs), for codes
    with what is told beside them (notes, n, some), and what is told of frames (notes, 4 n, some).

    Between products stand halves, not float32. The slow layers' weights, four fifths of all, are read once for all notes."""
    notes, n, frames = len(codes), codes.shape[1], told.shape[1]
    x, shift = _chained(_linear(codes, start), notes, n, slow)
    halves, rows = room(n, widen[0], notes, 0), len(x) // notes
    for i in range(notes):
        halve_silu(x[i * rows : (i + 1) * rows], shift, n, halves, i * rows)
    wide = np.empty((len(x), len(widen[1])), np.float32)
    multiply(widen[0], halves, notes, 0, 0, widen[1], 0, wide)
    halves = room(frames, say[0], 1, 0)
    out = np.empty((notes, halves.shape[1], len(say[1])), np.float32)
    for i in range(notes):
        y = _linear(told[i : i + 1], detail)
        add_upsampled(wide[i * rows : i * rows + n], y[:frames])
        y, shift = _chained(y, 1, frames, fast)
        halve_norm(y, shift, last[0], last[1], frames, halves, 0, True)
        multiply(say[0], halves, 1, 0, 0, say[1], 0, out[i])
    return out


@numba.njit(nogil=True)
def _linear(x, layer):  # type: ignore[no-untyped-def]
    """x (notes, columns, some) -> (notes whole columns, whole outputs)."""
    weight, bias = layer
    notes, columns = x.shape[:2]
    halves = room(columns, weight, notes, 0)
    rows = halves.shape[1] // notes
    for i in range(notes):
        halve(x[i], halves, i * rows)
    out = np.empty((notes * rows, len(bias)), np.float32)
    multiply(weight, halves, notes, 0, 0, bias, 0, out)
    return out


@numba.njit(nogil=True)
def _chained(x, notes, n, chain):  # type: ignore[no-untyped-def]
    """A chain of blocks over n columns each of notes, x (notes whole columns, width), in place; and what is still to be added to
    all, (width,)."""
    dilations, norms, mixes, outs, shifts = chain
    lead, rows = dilations.max(), len(x) // notes
    wide, narrow, mixed = room(n, mixes[0], notes, lead), room(n, outs[0], notes, 0), np.empty_like(x)
    none, shift = np.zeros(x.shape[1], np.float32), np.zeros(x.shape[1], np.float32)
    for k in range(len(dilations)):
        for i in range(notes):
            begin = lead + i * (rows + 2 * lead)
            halve_norm(x[i * rows : (i + 1) * rows], shift, norms[k, 0], norms[k, 1], n, wide, begin, False)
            hold_ends(wide, begin, n, dilations[k])
        multiply(mixes[k], wide, notes, lead, dilations[k], shifts[k, 0], 0, mixed)
        for i in range(notes):
            halve_silu(mixed[i * rows : (i + 1) * rows], none, n, narrow, i * rows)
        multiply(outs[k], narrow, notes, 0, 0, x, x.strides[0], x)
        shift = shifts[k, 1]
    return x, shift


@numba.njit(nogil=True, cache=True)
def silu(x):  # type: ignore[no-untyped-def]
    """x (frames, width) times its sigmoid, in place."""
    wide()
    for t in range(len(x)):
        for c in range(x.shape[1]):
            x[t, c] *= sigmoid(x[t, c])
    return x


@numba.njit(nogil=True, cache=True, fastmath=True)
def standing(x, t):  # type: ignore[no-untyped-def]
    """Of frame t of x (frames, width), over its channels: the mean, and the inverse of the standard deviation."""
    w = x.shape[1]
    mean = np.float32(0)
    for c in range(w):
        mean += x[t, c]
    mean /= w
    var = np.float32(0)
    for c in range(w):
        d = x[t, c] - mean
        var += d * d
    return mean, np.float32(1) / np.sqrt(var / w + np.float32(1e-5))


@numba.njit(nogil=True, cache=True, fastmath=True)
def norm(x, gain, bias):  # type: ignore[no-untyped-def]
    """Layer norm over the channels of x (frames, width)."""
    out = np.empty_like(x)
    n, w = x.shape
    for t in range(n):
        mean, scale = standing(x, t)
        for c in range(w):
            out[t, c] = (x[t, c] - mean) * scale * gain[c] + bias[c]
    return out


@numba.njit(nogil=True, cache=True)
def add_upsampled(x, y):  # type: ignore[no-untyped-def]
    """Add x (n, w), linear between the middles of code frames, to y (4 n, w)."""
    n, w = x.shape
    for t in range(n):
        a, b, c = x[max(0, t - 1)], x[t], x[min(n - 1, t + 1)]
        for i in range(w):
            y[4 * t, i] += np.float32(0.375) * a[i] + np.float32(0.625) * b[i]
            y[4 * t + 1, i] += np.float32(0.125) * a[i] + np.float32(0.875) * b[i]
            y[4 * t + 2, i] += np.float32(0.875) * b[i] + np.float32(0.125) * c[i]
            y[4 * t + 3, i] += np.float32(0.625) * b[i] + np.float32(0.375) * c[i]
