"""The spectral autoencoders by NumPy: the base install's own, no torch, no ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dsp.spectra import HARMONICS
from ..errors import BundleError
from ..nets.spectral_config import DECODER, ENCODER, ENVELOPE, EPSILON, LEAK, NATS, NOISE, SpectralConfig, Strides, grid
from .kernel_harmonic import Blocks, norm, silu

Floats = npt.NDArray[np.float32]


class FramesKernel:
    """`SpectralNetwork` of the small form over weights by name, as `nets.spectral.Frames` names them."""

    runtime = "kernel (CPU)"

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], config: SpectralConfig) -> None:
        """Raises BundleError for weights that are not the configuration's."""
        dilations = {"encoder": config.encoder_dilations, "slow": config.slow_dilations, "fast": config.fast_dilations}
        self._net = Blocks(weights, dilations, ("hear", "halve", "code", "start", "widen", "detail", "say"))
        if self._net.matrix["say"].shape[0] != config.fast:
            raise BundleError("the weights are not those of the network in the manifest; export the model again")

    def encode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `Frames.encode`."""
        return np.stack([self._encode(h, t) for h, t in zip(*arrays, strict=True)])

    def decode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `Frames.decode`."""
        return np.stack([self._decode(*some) for some in zip(*arrays, strict=True)])

    def _encode(self, heard: Floats, told: Floats) -> Floats:
        net = self._net
        x = silu(net.linear("hear", np.concatenate([heard, told], axis=1)))
        x = net.blocks("encoder", net.linear("halve", x.reshape(len(x) // 2, -1)))
        return np.asarray(3 * np.tanh(net.linear("code", silu(x)) / 3), dtype=np.float32)

    def _decode(self, codes: Floats, told: Floats, told_fast: Floats, number: Floats, comb: Floats) -> Floats:
        net = self._net
        x = silu(net.blocks("slow", net.linear("start", np.concatenate([codes, told], axis=1))))
        wide = net.linear("widen", x)
        y = net.linear("detail", told_fast)
        before, after = np.concatenate([wide[:1], wide[:-1]]), np.concatenate([wide[1:], wide[-1:]])
        y[::2] += np.float32(0.25) * before + np.float32(0.75) * wide
        y[1::2] += np.float32(0.75) * wide + np.float32(0.25) * after
        says = net.linear("say", silu(norm(net.blocks("fast", y), net.gain["norm"], net.bias["norm"])))
        envelope, correction, noise, rest = np.split(says, np.cumsum([ENVELOPE, HARMONICS, NOISE]), axis=1)
        near = np.maximum(1 - np.abs(number - np.arange(1, HARMONICS + 1, dtype=np.float32)[:, None]), 0)
        tonal = (envelope @ grid(ENVELOPE) + correction @ near) * np.float32(0.5) + comb / np.float32(50)
        hiss = noise @ grid(NOISE) * np.float32(0.5) - np.float32(0.6)
        both = np.logaddexp(tonal * np.float32(NATS), hiss * np.float32(NATS)) / np.float32(NATS)
        return np.asarray(both + rest * np.float32(0.2), dtype=np.float32)


class PublishedKernel:
    """`SpectralNetwork` of the published form over weights by name, as `nets.spectral.Published` names them."""

    runtime = "kernel (CPU)"

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Raises BundleError for weights that are not the published network's."""
        try:
            w = {k: np.asarray(v, np.float32) for k, v in weights.items()}
            self._encoder = [(_folded(w, f"encoder.{n}", 0), stride, n != "z") for n, _, stride, _ in ENCODER]
            self._decoder = [(_folded(w, f"decoder.{n}", 1), stride) for n, _, stride, _ in DECODER]
            self._pitch, self._mag, self._bias = w["pitch"], w["mag.weight"][0], w["mag.bias"][0]
        except (KeyError, ValueError, IndexError) as e:
            raise BundleError(f"the weights are not those of the network in the manifest ({e}); import the model again") from e

    def encode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `Published.encode`."""
        return np.stack([self._encode(heard) for heard in arrays[0]])

    def decode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `Published.decode`."""
        return np.stack([self._decode(z, p) for z, p in zip(*arrays, strict=True)])

    def _encode(self, heard: Floats) -> Floats:
        x = heard[:, :, None]
        for (weight, bias), stride, active in self._encoder:
            x = _convolved(x, weight, stride) + bias
            x = np.maximum(x, np.float32(LEAK) * x) if active else x
        return np.asarray(x[0, 0], dtype=np.float32)

    def _decode(self, z: Floats, pitch: int) -> Floats:
        x = np.concatenate([z, self._pitch[pitch]])[None, None]
        for (weight, bias), stride in self._decoder:
            x = _spread(x, weight, stride) + bias
            x = np.maximum(x, np.float32(LEAK) * x)
        return np.asarray(1 / (1 + np.exp(-(x @ self._mag + self._bias))), dtype=np.float32)


def _folded(w: Mapping[str, Floats], name: str, outputs: int) -> tuple[Floats, Floats]:
    """A layer's weight (height, width, inputs, outputs) with its norm's scale in it, and the norm's shift (outputs,)."""
    scale = 1 / np.sqrt(w[f"{name}.norm.running_var"] + np.float32(EPSILON))
    weight = w[f"{name}.weight"].transpose(2, 3, 1 - outputs, outputs)
    return np.ascontiguousarray(weight * scale), w[f"{name}.norm.bias"] - w[f"{name}.norm.running_mean"] * scale


def _pads(kernel: tuple[int, ...], stride: Strides) -> list[tuple[int, int]]:
    """TensorFlow's SAME: before and after, the larger part after."""
    return [((k - s) // 2, k - s - (k - s) // 2) if k > s else (0, 0) for k, s in zip(kernel, stride, strict=True)]


def _convolved(x: Floats, weight: Floats, stride: Strides) -> Floats:
    """A convolution of x (height, width, inputs): one product over all taps side by side."""
    kernel = weight.shape[:2]
    padded = np.pad(x, [*_pads(kernel, stride), (0, 0)])
    taps = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(0, 1))[:: stride[0], :: stride[1]]
    rows, columns = taps.shape[:2]
    flat = np.ascontiguousarray(taps.transpose(0, 1, 3, 4, 2)).reshape(rows * columns, -1)
    return np.asarray((flat @ weight.reshape(-1, weight.shape[3])).reshape(rows, columns, -1))


def _spread(x: Floats, weight: Floats, stride: Strides) -> Floats:
    """A transposed convolution of x (height, width, inputs): each place's product laid out, overlaps added."""
    (high, wide), (rows, columns, inputs) = weight.shape[:2], x.shape
    (top, _), (left, _) = _pads((high, wide), stride)
    tall, broad = rows * stride[0], columns * stride[1]
    out = np.zeros((tall + high, broad + wide, weight.shape[3]), np.float32)
    flat = x.reshape(-1, inputs)
    for i in range(high):
        for j in range(wide):
            part = (flat @ weight[i, j]).reshape(rows, columns, -1)
            out[i : i + tall : stride[0], j : j + broad : stride[1]] += part
    return out[top : top + tall, left : left + broad]


def kernel(weights: Mapping[str, npt.NDArray[Any]], config: SpectralConfig) -> FramesKernel | PublishedKernel:
    """The network of a configuration."""
    return PublishedKernel(weights) if config.form == "nfft_1024" else FramesKernel(weights, config)


