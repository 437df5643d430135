"""The kernel's blocks of products against NumPy in double precision, and on processors with fewer registers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from nsynth_instrument.runtimes.kernel_emit import GATE, KEEP, KEEP_RELU, PLAIN, RELU, has_bf16
from nsynth_instrument.runtimes.kernel_halves import Product
from nsynth_instrument.runtimes.kernel_simd import ROWS, aligned, multiply, narrowed, pack, place
from nsynth_instrument.runtimes.kernel_tiles import AT_ONCE, INPUTS, WAITING, has_tiles, tiles_begin, tiles_end

WAYS = [
    "float32",
    pytest.param("bf16", marks=pytest.mark.skipif(not has_bf16(), reason="this processor multiplies no bf16")),
    pytest.param("tiles", marks=pytest.mark.skipif(not has_tiles(), reason="this processor multiplies no tiles")),
]


def wide(x: np.ndarray) -> np.ndarray:
    """Kept values as double precision."""
    return (x.astype(np.uint32) << 16).view(np.float32).astype(float) if x.dtype == np.uint16 else x.astype(float)


def runs(kind: int):  # type: ignore[no-untyped-def]
    what = kind

    @njit
    def run(packed, taps, x_next, first, out, kept, bias, half):  # type: ignore[no-untyped-def]
        tiles_begin(packed, len(out))
        room = np.zeros(WAITING + 64, np.uint8)
        waits = (room.ctypes.data + 63) // 64 * 64, False
        for b, many in ((0, 1), (1, packed.shape[0] - 1)):
            r = ROWS * b
            if many:
                at = place(bias, r)[0]
                multiply(packed, what, b, many, len(out), taps, x_next, place(first, r), place(out, r), place(kept, r // half), at, waits)
        tiles_end(packed)
        room[0] = 0

    return run


def roomy(x: np.ndarray, way: str) -> np.ndarray:
    """The same values (..., columns, n), with what tiles read beyond them: noise after the columns, zeros after the inputs."""
    if way != "tiles":
        return x
    *taps, columns, inputs = x.shape
    wide = -(-inputs // INPUTS) * INPUTS if x.dtype == np.uint16 else inputs
    out = aligned((*taps, columns + 2 * AT_ONCE, wide), x.dtype)
    out[..., columns:, :inputs] = 17
    out[..., :columns, :inputs] = x
    return out


@pytest.mark.parametrize("way", WAYS)
def test_blocks_of_products(way: str) -> None:
    rng = np.random.default_rng(0)
    bf16 = way != "float32"
    outputs, taps, inputs = 3 * ROWS, 2, 74
    weight = rng.normal(size=(outputs, taps, inputs)).astype(np.float32)
    bias = rng.normal(size=outputs).astype(np.float32)
    exact = wide(narrowed(weight, bf16)).reshape(weight.shape)
    # What is kept in bfloat16 is off by half of its last bit.
    rough = 2**-8 if bf16 else 1e-6
    for kind in (PLAIN, GATE, RELU, KEEP, KEEP_RELU):
        run = runs(kind)
        packed = pack(weight, bf16=bf16, tiles=way == "tiles", gated=kind == GATE)
        for columns in (1, 2, 3, 4, 5, 13, 16, 17, 32, 53):
            x = narrowed(rng.normal(size=(taps, columns, inputs)), bf16)
            first = rng.normal(size=(columns, outputs)).astype(np.float32)
            out, kept = aligned(first.shape, np.float32), aligned(first.shape, x.dtype)
            read, begin = roomy(x, way), roomy(first, way)
            run(packed, np.array([t.ctypes.data for t in read]), read.strides[1], begin, out, kept, bias, 2 if kind == GATE else 1)
            sums = np.einsum("oti,tci->co", exact, wide(x).reshape(x.shape))
            if kind == GATE:
                # A block has its gates first, then its contents.
                turned = first.reshape(columns, -1, 2, ROWS // 2).transpose(0, 2, 1, 3).reshape(columns, -1)
                gate, content = np.split(sums + turned, 2, axis=1)
                np.testing.assert_allclose(
                    wide(kept)[:, : outputs // 2],
                    np.tanh(content) / (1 + np.exp(-gate)),
                    atol=rough if bf16 else 1e-5,
                    rtol=rough,
                )
                continue
            sums += first
            if kind != RELU:
                np.testing.assert_allclose(out, sums, atol=4e-5)
            if kind in (KEEP, KEEP_RELU):
                sums += bias
            if kind in (RELU, KEEP_RELU):
                sums = np.maximum(sums, 0)
            if kind != PLAIN:
                np.testing.assert_allclose(wide(kept), sums, atol=4e-5, rtol=rough)


@pytest.mark.parametrize("way", WAYS)
def test_the_gate_at_its_ends(way: str) -> None:
    bf16 = way != "float32"
    z = np.linspace(-120, 120, 4001)
    z = np.concatenate([z, np.linspace(-8, 8, 4001)])
    half = ROWS // 2
    first = np.zeros((len(z), ROWS), np.float32)
    first[:, :half], first[:, half:] = z[:, None], z[::-1, None]
    weight, x = np.zeros((ROWS, 1, 2), np.float32), narrowed(np.zeros((len(z), 2)), bf16)
    out, kept = aligned(first.shape, np.float32), aligned(first.shape, x.dtype)
    run, read, packed = runs(GATE), roomy(x, way), pack(weight, bf16=bf16, tiles=way == "tiles", gated=True)
    run(packed, np.array([read.ctypes.data]), read.strides[0], roomy(first, way), out, kept, first[0], 2)
    exact = np.tanh(first[:, half:].astype(float)) / (1 + np.exp(-first[:, :half].astype(float)))
    np.testing.assert_allclose(wide(kept)[:, :half], exact[:, :half], atol=3e-3 if bf16 else 1e-6)


@pytest.mark.parametrize(("name", "features"), [("haswell", "+avx,+avx2,+fma"), ("x86-64", "+sse2")])
@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="names processors of this kind")
def test_older_processors(name: str, features: str) -> None:
    """The same test where Numba is told of fewer features."""
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_kernel_simd as t\n"
        "from nsynth_instrument.runtimes import kernel_emit as k\n"
        "assert not k.has_bf16() and k.LANES in (4, 8), (k.LANES, k.has_bf16())\n"
        "t.test_blocks_of_products('float32'); t.test_the_gate_at_its_ends('float32')"
    )
    environment = {**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


FIRST = """
import numpy as np
from nsynth_instrument.errors import DeviceError
from nsynth_instrument.nets.wavenet_config import WaveNetConfig
from nsynth_instrument.runtimes import kernel_encoder, kernel_halves, kernel_tiles
c = WaveNetConfig(hop=32, encoder_width=32, encoder_layers=1, encoder_stages=1)
one, zeros = np.ones((32, 96), np.float32), np.zeros(32, np.float32)
w = {"start.weight": one[:, :3], "dilated.0.weight": one, "residual.0.weight": one[:, :32], "bottleneck.weight": one[:16, :32]}
w |= {f"{name}.bias": zeros for name in ("start", "dilated.0", "residual.0")} | {"bottleneck.bias": zeros[:16]}
try:
    made = kernel_encoder.Encoder(w, c, bf16=True, tiles=True), kernel_halves.Product(one.T, zeros)
except DeviceError as error:
    print(error)
else:
    assert np.isfinite(made[0](np.ones((1, 64, 1), np.float32), 2)).all()
    assert (made[1](np.ones((3, 96), np.float32)) == 96).all()
    print("made")
"""


@pytest.mark.parametrize("refused", [False, True])
def test_tiles_are_asked_for_by_who_makes_their_weights(refused: bool) -> None:
    """A process that never asked whether there are any, and one whose processor has none: no illegal instruction."""
    environment = {**os.environ, **({"NUMBA_CPU_NAME": "x86-64-v4", "NUMBA_CPU_FEATURES": "+avx512f"} if refused else {})}
    done = subprocess.run(
        [sys.executable, "-c", FIRST], env=environment, cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ("made" if has_tiles() and not refused else "multiplies no tiles") in done.stdout


@pytest.mark.skipif(not has_tiles(), reason="this processor multiplies no tiles")
@pytest.mark.parametrize("columns, inputs, outputs", [(1, 128, 16), (40, 130, 16), (33, 200, 70), (125, 384, 224), (500, 224, 624)])
def test_products_of_halves_are_float32s(columns: int, inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(columns)
    x, matrix = (rng.normal(size=shape).astype(np.float32) for shape in ((columns, inputs), (inputs, outputs)))
    bias = rng.normal(size=outputs).astype(np.float32)
    exact = x.astype(np.float64) @ matrix + bias
    found = Product(matrix, bias)(x)
    assert np.abs(found - exact).max() < 4e-5 * np.sqrt(inputs)
    assert np.array_equal(Product(matrix, bias)(x[:1])[0], found[0]), "a column does not depend on those beside it"
    near = Product(np.tile(matrix, (3, 1)), bias, taps=3)(x, 2)
    at = np.clip(np.arange(columns)[:, None] + [-2, 0, 2], 0, columns - 1)
    assert np.abs(near - (x.astype(np.float64)[at].sum(axis=1) @ matrix + bias)).max() < 1e-4 * np.sqrt(inputs)
