"""The harmonic decoder with its vector-Jacobian product: how what it says would change with the codes it is given.

By hand, in NumPy and Numba, since the base install has no automatic differentiation; only codes ask for gradients, never weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..codes import DIMS
from ..dsp.curves import sigmoid
from .kernel_harmonic import LAYERS, Blocks, add_upsampled, dilations, norm, silu, standing

Floats = npt.NDArray[np.float32]
Pull = Callable[[Floats], Floats]


class HarmonicGradient:
    """The decoder of one note, as `nets.harmonic.Harmonic.decode`."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], config: Mapping[str, Any]) -> None:
        """Raises BundleError for weights that are not the configuration's."""
        self._net = Blocks(weights, dilations(config), LAYERS)
        self._back = {k: np.ascontiguousarray(v.T) for k, v in self._net.matrix.items()}

    def decode(self, codes: Floats, told: Floats, told_fast: Floats) -> tuple[Floats, Pull]:
        """codes (n, DIMS), told (n, COND), told_fast (4 n, COND) -> what is said (4 n, OUT), and its product.

        That takes a gradient with respect to what is said, (4 n, OUT), to that with respect to the codes, (n, DIMS).
        """
        net = self._net
        x = net.linear("start", np.concatenate([codes, told], axis=1))
        x, slow = self._blocks("slow", x)
        y = net.linear("detail", told_fast)
        add_upsampled(net.linear("widen", silu(x.copy())), y)
        y, fast = self._blocks("fast", y)
        normed = norm(y, net.gain["norm"], net.bias["norm"])
        said = net.linear("say", silu(normed.copy()))

        def pull(grad: Floats) -> Floats:
            g = _through_norm(y, net.gain["norm"], _through_silu(normed, grad @ self._back["say"]))
            g = self._pull_blocks("fast", fast, g)
            g = _through_silu(x, _through_upsampling(g) @ self._back["widen"])
            g = self._pull_blocks("slow", slow, g)
            return np.asarray(g @ self._back["start"][:, :DIMS])

        return said, pull

    def _blocks(self, kind: str, x: Floats) -> tuple[Floats, list[tuple[Floats, Floats]]]:
        """As `Blocks.blocks`, with what each block heard and what its SiLU did."""
        net, kept = self._net, []
        for i, dilation in enumerate(net.dilations[kind]):
            mixed = net.mixed(f"{kind}.{i}", x, dilation)
            kept.append((x, mixed))
            x = x + net.linear(f"{kind}.{i}.out", silu(mixed.copy()))
        return x, kept

    def _pull_blocks(self, kind: str, kept: list[tuple[Floats, Floats]], grad: Floats) -> Floats:
        for i, dilation in reversed(list(enumerate(self._net.dilations[kind]))):
            name, (x, mixed) = f"{kind}.{i}", kept[i]
            wide = _through_silu(mixed, grad @ self._back[f"{name}.out"]) @ self._back[f"{name}.mix"]
            grad = grad + _through_norm(x, self._net.gain[f"{name}.norm"], _folded(wide, dilation))
        return grad


@numba.njit(nogil=True, cache=True)
def _through_silu(x, grad):  # type: ignore[no-untyped-def]
    """Gradient before a SiLU of x, in place of that after it."""
    a, g = x.reshape(-1), grad.reshape(-1)
    for i in range(len(a)):
        s = sigmoid(a[i])
        g[i] *= s * (np.float32(1) + a[i] * (np.float32(1) - s))
    return grad


@numba.njit(nogil=True, cache=True, fastmath=True)
def _through_norm(x, gain, grad):  # type: ignore[no-untyped-def]
    """Gradient before a layer norm of x (frames, width), of that after it."""
    out = np.empty_like(x)
    n, w = x.shape
    for t in range(n):
        mean, scale = standing(x, t)
        plain, along = np.float32(0), np.float32(0)
        for c in range(w):
            g = grad[t, c] * gain[c]
            plain += g
            along += g * (x[t, c] - mean) * scale
        plain, along = plain / w, along / w
        for c in range(w):
            out[t, c] = scale * (grad[t, c] * gain[c] - plain - along * (x[t, c] - mean) * scale)
    return out


@numba.njit(nogil=True, cache=True)
def _folded(wide, dilation):  # type: ignore[no-untyped-def]
    """Gradient of frames of that of t - d, t, t + d side by side; the ends were held."""
    n, w = wide.shape[0], wide.shape[1] // 3
    out = np.zeros((n, w), np.float32)
    for t in range(n):
        a, b = max(0, t - dilation), min(n - 1, t + dilation)
        for c in range(w):
            out[a, c] += wide[t, c]
            out[t, c] += wide[t, w + c]
            out[b, c] += wide[t, 2 * w + c]
    return out


@numba.njit(nogil=True, cache=True)
def _through_upsampling(y):  # type: ignore[no-untyped-def]
    """Gradient (n, w) before linear upsampling, of that after it (4 n, w)."""
    n, w = len(y) // 4, y.shape[1]
    out = np.zeros((n, w), np.float32)
    for t in range(n):
        a, b = max(0, t - 1), min(n - 1, t + 1)
        for c in range(w):
            p, q, r, s = y[4 * t, c], y[4 * t + 1, c], y[4 * t + 2, c], y[4 * t + 3, c]
            out[a, c] += np.float32(0.375) * p + np.float32(0.125) * q
            out[t, c] += np.float32(0.625) * (p + s) + np.float32(0.875) * (q + r)
            out[b, c] += np.float32(0.125) * r + np.float32(0.375) * s
    return out
