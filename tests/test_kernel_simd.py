"""The kernel's blocks of products against NumPy in double precision, and on processors with fewer registers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from nsynth_instrument.runtimes.kernel_simd import (
    GATE,
    KEEP,
    KEEP_RELU,
    PLAIN,
    RELU,
    ROWS,
    aligned,
    has_bf16,
    multiply,
    narrowed,
    pack,
    place,
)

PRECISIONS = [False, pytest.param(True, marks=pytest.mark.skipif(not has_bf16(), reason="this processor multiplies no bf16"))]


def wide(x: np.ndarray) -> np.ndarray:
    """Kept values as double precision."""
    return (x.astype(np.uint32) << 16).view(np.float32).astype(float) if x.dtype == np.uint16 else x.astype(float)


def runs(kind: int):  # type: ignore[no-untyped-def]
    what = kind

    @njit
    def run(packed, taps, x_next, first, out, kept, bias, half):  # type: ignore[no-untyped-def]
        for b in range(packed.shape[0]):
            r = ROWS * b
            at = place(bias, r)[0]
            multiply(packed, what, b, len(out), taps, x_next, place(first, r), place(out, r), place(kept, r // half), at)

    return run


@pytest.mark.parametrize("bf16", PRECISIONS)
def test_blocks_of_products(bf16: bool) -> None:
    rng = np.random.default_rng(0)
    outputs, taps, inputs = 2 * ROWS, 2, 10
    weight = rng.normal(size=(outputs, taps, inputs)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    exact = wide(narrowed(weight, bf16)).reshape(weight.shape)
    # What is kept in bfloat16 is off by half of its last bit.
    rough = 2**-8 if bf16 else 1e-6
    for kind in (PLAIN, GATE, RELU, KEEP, KEEP_RELU):
        run = runs(kind)
        packed = pack(weight, bf16=bf16, gated=kind == GATE)
        for columns in (1, 2, 3, 4, 5, 13):
            x = narrowed(rng.normal(size=(taps, columns, inputs)), bf16)
            first = rng.normal(size=(columns, outputs)).astype(np.float32)
            out, kept = aligned(first.shape, np.float32), aligned(first.shape, x.dtype)
            run(packed, np.array([t.ctypes.data for t in x]), x.strides[1], first, out, kept, bias, 2 if kind == GATE else 1)
            sums = np.einsum("oti,tci->co", exact, wide(x).reshape(x.shape))
            if kind == GATE:
                # A block has its gates first, then its contents.
                turned = first.reshape(columns, -1, 2, ROWS // 2).transpose(0, 2, 1, 3).reshape(columns, -1)
                gate, content = np.split(sums + turned, 2, axis=1)
                np.testing.assert_allclose(
                    wide(kept)[:, : outputs // 2],
                    np.tanh(content) / (1 + np.exp(-gate)),
                    atol=rough if bf16 else 2e-6,
                    rtol=rough,
                )
                continue
            sums += first
            if kind != RELU:
                np.testing.assert_allclose(out, sums, atol=1e-5)
            if kind in (KEEP, KEEP_RELU):
                sums += bias
            if kind in (RELU, KEEP_RELU):
                sums = np.maximum(sums, 0)
            if kind != PLAIN:
                np.testing.assert_allclose(wide(kept), sums, atol=1e-5, rtol=rough)


@pytest.mark.parametrize("bf16", PRECISIONS)
def test_the_gate_at_its_ends(bf16: bool) -> None:
    z = np.linspace(-120, 120, 4001)
    z = np.concatenate([z, np.linspace(-8, 8, 4001)])
    half = ROWS // 2
    first = np.zeros((len(z), ROWS), np.float32)
    first[:, :half], first[:, half:] = z[:, None], z[::-1, None]
    weight, x = np.zeros((ROWS, 1, 2), np.float32), narrowed(np.zeros((len(z), 2)), bf16)
    out, kept = aligned(first.shape, np.float32), aligned(first.shape, x.dtype)
    run = runs(GATE)
    run(pack(weight, bf16=bf16, gated=True), np.array([x.ctypes.data]), x.strides[0], first, out, kept, first[0], 2)
    exact = np.tanh(first[:, half:].astype(float)) / (1 + np.exp(-first[:, :half].astype(float)))
    np.testing.assert_allclose(wide(kept)[:, :half], exact[:, :half], atol=3e-3 if bf16 else 1e-6)


@pytest.mark.parametrize(("name", "features"), [("haswell", "+avx,+avx2,+fma"), ("x86-64", "+sse2")])
@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="names processors of this kind")
def test_older_processors(name: str, features: str) -> None:
    """The same test where Numba is told of fewer features."""
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_kernel_simd as t\n"
        "from nsynth_instrument.runtimes import kernel_simd as k\n"
        "assert not k.has_bf16() and k.LANES in (4, 8), (k.LANES, k.has_bf16())\n"
        "t.test_blocks_of_products(False); t.test_the_gate_at_its_ends(False)"
    )
    environment = {**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
