"""The WaveNet by NumPy and Numba: the base install's own, a note per SIMD lane, tiles of notes spread over threads.

Weights are packed once; the taps of a dilated convolution are products of their own, on ring buffers; the
residual and skip outputs are one product, added in place; conditioning is folded once per code frame; the last
layer's residual, which nothing hears, is left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..dsp.mulaw import CLASSES, ZERO
from ..errors import BundleError
from ..nets.wavenet_config import LEAST, MOST, WaveNetConfig
from .kernel_simd import LANES, ROWS, exp, gate, pack, product

Floats = npt.NDArray[np.float32]

TILE = 64
"""Notes that go through the layers together: enough that reading the weights, which exceed the cache, costs little."""


class WaveNetKernel:
    """`WaveNetNetwork` over weights by name, as `nets.wavenet.WaveNet` names them; see there for the shapes."""

    runtime = "kernel (CPU)"
    batch = 4 * TILE

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], config: WaveNetConfig, *, threads: int | None = None) -> None:
        """Raises BundleError for a network whose widths the kernel cannot run, or weights that are not its own."""
        if config.width % ROWS or config.skip % ROWS:
            widths = f"{config.width} and {config.skip}"
            raise BundleError(f"the kernel runs widths that are multiples of {ROWS}, not {widths}; use --runtime torch")
        self.config, self.bands = config, config.bands
        self.threads = threads or os.cpu_count() or 1
        try:
            self._prepare({k: np.asarray(v, np.float32) for k, v in weights.items()})
        except (KeyError, ValueError) as e:
            raise BundleError(f"the weights are not those of the network in the manifest ({e}); export the model again") from e

    def _prepare(self, w: dict[str, Floats]) -> None:
        c = self.config
        self._encoder = {k.removeprefix("encoder."): np.ascontiguousarray(v.T) for k, v in w.items() if k.startswith("encoder.")}
        d = {k.removeprefix("decoder."): v for k, v in w.items() if k.startswith("decoder.")}
        layers = range(c.layers)
        dilated = [d[f"layers.{i}.dilated.weight"].reshape(2 * c.width, c.kernel, c.width) for i in layers]
        # The bias of a dilated convolution and of `out1` is added wherever the condition is: they become one.
        bias = np.concatenate([*(d[f"layers.{i}.dilated.bias"] for i in layers), d["out1.bias"]]) + d["condition.bias"]
        self._decoder = (
            pack(d["condition.weight"]), bias,
            pack(d["start.weight"]), d["start.bias"],
            pack(d["skip_start.weight"]), d["skip_start.bias"],
            np.stack([np.stack([pack(t[:, k]) for k in range(c.kernel)]) for t in dilated]),
            np.stack([pack(d[f"layers.{i}.join.weight"]) for i in layers]),
            np.stack([d[f"layers.{i}.join.bias"] for i in layers]),
            pack(d["out1.weight"]),
            pack(d["logits.weight"]), d["logits.bias"],
            np.array(c.dilations),
        )  # fmt: skip

    def encode(self, signal: Floats) -> Floats:
        """See `WaveNetNetwork.encode`."""
        with ThreadPoolExecutor(self.threads) as pool:
            return np.stack(list(pool.map(self._encode, signal)))

    def _encode(self, signal: Floats) -> Floats:
        w, c = self._encoder, self.config
        x = _both_ways(signal, w["start.weight"], w["start.bias"], 1)
        for i, dilation in enumerate(c.encoder_dilations):
            y = _both_ways(np.maximum(x, 0), w[f"dilated.{i}.weight"], w[f"dilated.{i}.bias"], dilation)
            x += np.maximum(y, 0, out=y) @ w[f"residual.{i}.weight"]
            x += w[f"residual.{i}.bias"]
        # The mean of a frame commutes with the bottleneck, which is linear.
        codes = x.reshape(-1, c.steps, c.encoder_width).mean(axis=1) @ w["bottleneck.weight"] + w["bottleneck.bias"]
        return np.asarray(c.bound * np.tanh(codes / c.bound) if c.bound else codes, dtype=np.float32)

    def decode(
        self,
        codes: Floats,
        pitch: npt.NDArray[Any],
        velocity: npt.NDArray[Any],
        noise: Floats,
        *,
        source: Floats | None = None,
        follow: npt.NDArray[Any] | None = None,
        temperature: float = 1.0,
    ) -> npt.NDArray[Any]:
        """See `WaveNetNetwork.decode`."""
        c = self.config
        batch, frames, _ = codes.shape
        levels = c.head == "levels"
        out = np.zeros((batch, frames * c.steps, c.bands), np.float32)
        noise = np.ascontiguousarray(noise)
        source = np.zeros((batch, frames * c.steps, 0), np.float32) if source is None else np.ascontiguousarray(source)
        follow = np.zeros((0, 0, 0), np.float32) if follow is None else np.ascontiguousarray(follow, dtype=np.float32)
        # As many tiles as keep all threads busy to the end, each as large as that leaves it.
        tiles = -(-batch // (TILE * self.threads)) * self.threads
        size = -(-batch // (tiles * LANES)) * LANES

        def tile(first: int) -> None:
            some = slice(first, min(first + size, batch))
            count = some.stop - first
            told = np.zeros((frames, c.conditions, size), np.float32)
            told[:, :, :count] = c.conditioning(codes[some], pitch[some], velocity[some]).transpose(1, 2, 0)
            _generate(
                *self._decoder, told, c.bands, c.steps, c.skip, levels,
                np.float32(max(temperature, 1e-3)), source, noise, follow, out, first, count,
            )  # fmt: skip

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(tile, range(0, batch, size)))
        return out if levels else out.astype(np.uint8)


def _both_ways(x: Floats, weight: Floats, bias: Floats, dilation: int) -> Floats:
    """A non-causal convolution of 3 taps: x (time, inputs), weight (3 inputs, outputs)."""
    before, now, after = np.split(weight, 3)
    y: Floats = x @ now
    y += bias
    if dilation < len(x):
        y[dilation:] += x[:-dilation] @ before
        y[:-dilation] += x[dilation:] @ after
    return y


# Small functions of plain loops: each whole-array expression in the big one would cost the first user seconds of compiling.


@numba.njit(nogil=True, cache=True)
def _fill(out, bias):  # type: ignore[no-untyped-def]
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[r, j] = bias[r]


@numba.njit(nogil=True, cache=True)
def _raise(out, bias, first):  # type: ignore[no-untyped-def]
    for r in range(first, out.shape[0]):
        for j in range(out.shape[1]):
            out[r, j] += bias[r]


@numba.njit(nogil=True, cache=True)
def _copy(out, x, floor):  # type: ignore[no-untyped-def]
    """out = max(x, floor)."""
    for r in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[r, j] = max(x[r, j], floor)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _sample(logits, sharpness, u, peak, total, chosen):  # type: ignore[no-untyped-def]
    """Classes (lanes,) of logits (256, lanes), which are spent, by inverse CDF at u (lanes,)."""
    classes, lanes = logits.shape
    for j in range(lanes):
        peak[j] = logits[0, j]
        total[j] = 0
        chosen[j] = 0
    for k in range(1, classes):
        for j in range(lanes):
            peak[j] = max(peak[j], logits[k, j])
    for k in range(classes):
        for j in range(lanes):
            total[j] += exp(max((logits[k, j] - peak[j]) * sharpness, np.float32(-80)))
            logits[k, j] = total[j]
    for j in range(lanes):
        u[j] *= total[j]
    # The last class takes what is left, so that a sum that tops out low can name no class beyond it.
    for k in range(classes - 1):
        for j in range(lanes):
            chosen[j] += np.float32(1) if logits[k, j] <= u[j] else np.float32(0)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _level(mean, spread, temperature, u, chosen):  # type: ignore[no-untyped-def]
    """Levels (lanes,) of means and log deviations (lanes,) at standard normal u (lanes,); see `nets.wavenet.level`."""
    for j in range(len(u)):
        chosen[j] = mean[j] + exp(min(max(spread[j], np.float32(LEAST)), np.float32(MOST))) * temperature * u[j]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _heard(chosen, levels, out):  # type: ignore[no-untyped-def]
    """out (lanes,): how classes or levels (lanes,) are heard as the past."""
    for j in range(len(out)):
        x = chosen[j]
        out[j] = x / np.sqrt(np.float32(1) + abs(x)) if levels else (x - np.float32(ZERO)) / np.float32(CLASSES // 2)


@numba.njit(nogil=True, cache=True)
def _generate(  # type: ignore[no-untyped-def]
    condition, bias, start, start_bias, skip_start, skip_bias, dilated, join, join_bias, out1, say, say_bias, dilations,
    told, bands, steps, skip, levels, temperature, source, noise, follow, out, first, count,
):  # fmt: skip
    """All steps of one tile of notes: `count` of them, from row `first` of source, noise, follow and out, one per lane."""
    layers, kernel, _, width, _ = dilated.shape
    frames, _, lanes = told.shape
    f32 = np.float32
    none, zero = f32(-np.inf), f32(0)
    folded = np.empty((len(bias), lanes), f32)
    past = kernel * bands
    heard = np.zeros((past + source.shape[2], lanes), f32)
    state = np.empty((width + skip, lanes), f32)
    z, gated = np.empty((2 * width, lanes), f32), np.empty((width, lanes), f32)
    skipped, hidden = np.empty((skip, lanes), f32), np.empty((skip, lanes), f32)
    logits = np.empty((len(say_bias), lanes), f32)
    u, peak, total, chosen = np.zeros(lanes, f32), np.empty(lanes, f32), np.empty(lanes, f32), np.empty(lanes, f32)
    begins = np.zeros(layers + 1, np.int64)
    for i in range(layers):
        begins[i + 1] = begins[i] + (kernel - 1) * dilations[i]
    rings = np.zeros((begins[layers], width, lanes), f32)
    x, added = state[:width], state[width:]
    for frame in range(frames):
        _fill(folded, bias)
        product(condition, told[frame], folded)
        for step in range(frame * steps, (frame + 1) * steps):
            for j in range(count):
                for k in range(source.shape[2]):
                    heard[past + k, j] = source[first + j, step, k]
            _fill(x, start_bias)
            product(start, heard, x)
            _fill(added, skip_bias)
            product(skip_start, x, added)
            for i in range(layers):
                _copy(z, folded[2 * width * i :], none)
                length = (kernel - 1) * dilations[i]
                for k in range(kernel):
                    slot = begins[i] + (step - (kernel - 1 - k) * dilations[i]) % length
                    product(dilated[i, k], rings[slot] if k + 1 < kernel else x, z)
                _copy(rings[begins[i] + step % length], x, none)
                gate(z, gated)
                # Nothing hears the last residual.
                begin = 0 if i + 1 < layers else width
                _raise(state, join_bias[i], begin)
                product(join[i, begin // ROWS :], gated, state[begin:])
            _copy(skipped, added, zero)
            _copy(hidden, folded[2 * width * layers :], none)
            product(out1, skipped, hidden)
            _copy(hidden, hidden, zero)
            _fill(logits, say_bias)
            product(say, hidden, logits)
            _copy(heard[: (kernel - 1) * bands], heard[bands:], none)
            for b in range(bands):
                for j in range(count):
                    u[j] = noise[first + j, step, b]
                if levels:
                    _level(logits[2 * b], logits[2 * b + 1], temperature, u, chosen)
                else:
                    _sample(logits[b * CLASSES : (b + 1) * CLASSES], f32(1) / temperature, u, peak, total, chosen)
                for j in range(count):
                    out[first + j, step, b] = chosen[j]
                    if len(follow):
                        chosen[j] = follow[first + j, step, b]
                _heard(chosen, levels, heard[past - bands + b])
