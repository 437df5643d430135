"""The runtimes agree: forced to the same past they draw the same classes, and so they do when left to themselves."""

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from nsynth_instrument import bundle  # noqa: E402
from nsynth_instrument.bundle import Bundle  # noqa: E402
from nsynth_instrument.codecs.wavenet import WaveNetCodec  # noqa: E402
from nsynth_instrument.dsp import mulaw  # noqa: E402
from nsynth_instrument.errors import BundleError, DeviceError, MissingExtra, NsynthError, UnknownName, UsageError  # noqa: E402
from nsynth_instrument.nets.wavenet import WaveNet  # noqa: E402
from nsynth_instrument.nets.wavenet_config import WaveNetConfig  # noqa: E402
from nsynth_instrument.notes import Note  # noqa: E402
from nsynth_instrument.runtimes import RUNTIMES, kernel_emit, kernel_wavenet, open_codec  # noqa: E402
from nsynth_instrument.runtimes.kernel_emit import has_bf16, pairs_pay  # noqa: E402
from nsynth_instrument.runtimes.kernel_tiles import has_tiles  # noqa: E402
from nsynth_instrument.runtimes.kernel_wavenet import TILE, WaveNetKernel  # noqa: E402

CONFIG = WaveNetConfig(
    hop=32, bands=2, encoder_width=8, encoder_layers=2, encoder_stages=2, bound=3.0, width=8, skip=12, layers=3, stages=2, kernel=3,
    pitch="basis", velocity=True,
)  # fmt: skip
# As the paper's: one band, no pitch, no velocity, no bound.
PLAIN = replace(CONFIG, bands=1, bound=0.0, pitch="none", velocity=False, kernel=2)

# More than a block of outputs, and not whole ones.
WIDE = replace(CONFIG, width=72, skip=40)


def weights(config: WaveNetConfig) -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    net = WaveNet(config)
    # Livelier than at first, so that classes differ; float16, as a bundle keeps them.
    return {k: (2 * v).to(torch.float16).numpy() for k, v in net.state_dict().items()}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    from nsynth_instrument.training.wavenet_export import contents

    files = contents({k: torch.from_numpy(v) for k, v in weights(CONFIG).items()}, CONFIG)
    folder = tmp_path_factory.mktemp("models") / "small"
    return bundle.write(
        folder, files, name="small", kind="wavenet", rate=16000, hop=CONFIG.hop, dims=16, licence="MIT", sources=("none",),
        network=CONFIG.to_dict(), training={},
    )  # fmt: skip


WAYS = [
    "float32",
    pytest.param("pairs", marks=pytest.mark.skipif(not has_bf16(), reason="this processor multiplies no bf16")),
    pytest.param("tiles", marks=pytest.mark.skipif(not has_tiles(), reason="this processor multiplies no tiles")),
]


def kernel(w: dict[str, np.ndarray], config: WaveNetConfig, way: str, *, threads: int) -> WaveNetKernel:
    """The kernel that multiplies float32, or bf16 in pairs or tiles."""
    network = WaveNetKernel(w, config, threads=threads, precision="float32" if way == "float32" else "bf16")
    network.tiles = way == "tiles"
    return network



def named(bf16: bool) -> str:
    return "bf16" if bf16 else "float32"


@pytest.fixture(scope="module")
def codecs(model: Bundle) -> dict[str, WaveNetCodec]:
    """Each runtime as it is opened, and the kernel in both precisions."""
    opened = {r: open_codec(model, r, device="cpu", threads=1) for r in RUNTIMES}
    for bf16 in (False, True) if has_bf16() else (False,):
        opened[named(bf16)] = open_codec(model, "kernel", threads=1, precision=named(bf16))
    return opened  # type: ignore[return-value]


def request(config: WaveNetConfig, batch: int = 5, frames: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "codes": rng.normal(size=(batch, frames, config.dims)).astype(np.float32),
        "pitch": rng.integers(21, 109, batch),
        "velocity": rng.integers(1, 128, batch),
        "noise": rng.random((batch, frames * config.steps, config.bands), dtype=np.float32),
    }


def follow(config: WaveNetConfig, batch: int = 5, frames: int = 3) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (batch, frames * config.steps, config.bands)).astype(np.uint8)


def test_each_says_what_it_runs_on(codecs: dict[str, WaveNetCodec]) -> None:
    precision = named(has_tiles() or pairs_pay())
    assert [codecs[r].runtime for r in RUNTIMES] == [f"kernel (CPU, {precision})", "onnx (CPU)", "torch (CPU)"]


@pytest.mark.skipif(not has_bf16(), reason="this processor multiplies no bf16")
@pytest.mark.parametrize(("tiles", "name", "bf16"), [(True, "sapphirerapids", True), (False, "sapphirerapids", False), (False, "znver5", True)])
def test_bf16_is_taken_where_it_is_faster(monkeypatch: pytest.MonkeyPatch, tiles: bool, name: str, bf16: bool) -> None:
    monkeypatch.setattr(kernel_wavenet, "has_tiles", lambda: tiles)
    monkeypatch.setattr(kernel_emit.numba.config, "CPU_NAME", name)
    network = WaveNetKernel({}, CONFIG)
    assert (network.runtime, network.tiles) == (f"kernel (CPU, {named(bf16)})", tiles)


def test_codes_agree(codecs: dict[str, WaveNetCodec]) -> None:
    audio = [np.random.default_rng(i).normal(0, 0.1, n).astype(np.float32) for i, n in enumerate((500, 1024, 500))]
    codes = {r: c.encode(audio, [Note(60)] * 3) for r, c in codecs.items()}
    assert [c.shape for c in codes["float32"]] == [(16, 16), (32, 16), (16, 16)]
    for r in ("onnx", "torch", "bf16"):
        for mine, other in zip(codes["float32"], codes.get(r, codes["torch"]), strict=True):
            # Codes lie in -3..3; bfloat16 has 8 bits.
            np.testing.assert_allclose(mine, other, atol=0.02 if r == "bf16" else 2e-5)


@pytest.mark.parametrize("forced", [True, False])
def test_classes_agree(codecs: dict[str, WaveNetCodec], forced: bool) -> None:
    past = follow(CONFIG) if forced else None
    drawn = {r: c.network.decode(**request(CONFIG), follow=past, temperature=0.9) for r, c in codecs.items()}
    for r in ("float32", "onnx", "torch"):
        assert (drawn[r].dtype, drawn[r].shape) == (np.uint8, (5, 48, 2))
        # A class differs only where the noise lies on an edge of the CDF to the last digit.
        assert (drawn[r] == drawn["float32"]).mean() > (0.995 if forced else 0.9)
    assert len(np.unique(drawn["float32"])) > 50
    if "bf16" in drawn and forced:
        # The noise lies so near an edge that 8 bits move it across once in a dozen draws.
        assert (drawn["bf16"] == drawn["float32"]).mean() > 0.9


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("config", [CONFIG, PLAIN, WIDE])
def test_the_kernel_draws_by_the_logits_of_the_network(config: WaveNetConfig, way: str) -> None:
    w, asked, past = weights(config), request(config, batch=37), follow(config, batch=37)
    net = WaveNet(config).eval()
    net.load_state_dict({k: torch.from_numpy(v).float() for k, v in w.items()})
    source = np.zeros((37, past.shape[1], 0), np.float32)
    told = config.conditioning(asked["codes"], asked["pitch"], asked["velocity"])
    with torch.no_grad():
        logits = net.decoder(*(torch.from_numpy(a) for a in (mulaw.companded(past), source, told)))
    shares = (logits.double() / 0.7).softmax(dim=-1).numpy()
    tops = shares.cumsum(axis=-1)
    drawn = kernel(w, config, way, threads=2).decode(**asked, follow=past, temperature=0.7)
    at = drawn[..., None].astype(int)
    top = np.take_along_axis(tops, at, -1)[..., 0]
    bottom = top - np.take_along_axis(shares, at, -1)[..., 0]
    off = np.maximum(np.maximum(asked["noise"] - top, bottom - asked["noise"]), 0)
    exact = way == "float32"
    assert off.max() < (2e-6 if exact else 0.1)
    assert off.mean() < (1e-9 if exact else 1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_a_note_does_not_depend_on_its_batch_order_threads_or_team(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    w, asked = weights(CONFIG), request(CONFIG, batch=2 * TILE - 9)
    together = kernel(w, CONFIG, way, threads=2).decode(**asked)
    turned = kernel(w, CONFIG, way, threads=1).decode(**{k: v[::-1] for k, v in asked.items()})
    np.testing.assert_array_equal(together, turned[::-1])
    for count in range(1, 7):
        alone = kernel(w, CONFIG, way, threads=1).decode(**{k: v[3 : 3 + count] for k, v in asked.items()})
        np.testing.assert_array_equal(together[3 : 3 + count], alone)
    monkeypatch.setattr(kernel_wavenet, "LARGE", 0)
    for threads in (2, 3):
        np.testing.assert_array_equal(kernel(w, CONFIG, way, threads=threads).decode(**asked), together)


def test_a_rendered_note_is_a_function_of_seed_pitch_and_velocity(codecs: dict[str, WaveNetCodec]) -> None:
    codec = codecs["kernel"]
    rng = np.random.default_rng(0)
    codes = [rng.normal(size=(n, 16)).astype(np.float32) for n in (6, 9, 6)]
    notes = [Note(60, 100), Note(61, 100), Note(60, 90)]
    many = codec.decode(codes, notes, seed=7)
    assert [len(a) for a in many] == [n * CONFIG.hop for n in (6, 9, 6)]
    np.testing.assert_array_equal(codec.decode(codes[:1], notes[:1], seed=7)[0], many[0])
    assert not np.array_equal(codec.decode(codes[:1], notes[:1], seed=8)[0], many[0])
    mine, other = (codecs[r].decode(codes, notes, seed=7) for r in ("float32", "torch"))
    for a, b in zip(mine, other, strict=True):
        assert np.mean(a == b) > 0.5


def test_a_notes_samples_do_not_depend_on_padding(codecs: dict[str, WaveNetCodec]) -> None:
    asked = request(CONFIG, batch=5)
    for r in ("onnx", "torch"):
        alone = codecs[r].network.decode(**{k: v[4:] for k, v in asked.items()})
        # The same buffers again, with what the last notes left in them.
        together = [codecs[r].network.decode(**asked) for _ in range(2)]
        np.testing.assert_array_equal(*together)
        # To the rounding of a matrix product of another shape.
        assert (together[0][4:] == alone).mean() > 0.9


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, hop=8, stages=3, kernel=4)])
def test_a_frame_needs_nothing_of_the_host_and_moves_no_buffer(config: WaveNetConfig) -> None:
    """What a CUDA graph demands of the frame that it replays."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from nsynth_instrument.runtimes.torch_frame import Frame

    frame = Frame(WaveNet(config).eval().decoder, 3, torch.device("cpu"))
    assert frame.how == "step by step: CUDA graphs need a GPU"
    assert frame.phases == (1 if config is CONFIG else 3)
    places = [b.data_ptr() for b in frame.buffers]

    class Calls(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.names: list[str] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.names.append(str(func))
            return func(*args, **(kwargs or {}))

    recorded = []
    with torch.no_grad():
        for phase in range(frame.phases):
            with Calls() as calls:
                frame.steps(phase)
            recorded.append(calls.names)
        for number in range(4):
            frame.play(number)
    assert [b.data_ptr() for b in frame.buffers] == places
    assert all(names == recorded[0] for names in recorded)
    assert recorded[0].count("aten.cumsum.default") == config.steps
    # Such as have a number of the device's read by the host, or a size that depends on one.
    assert not {n for n in recorded[0] if "local_scalar" in n or "nonzero" in n or "masked_select" in n or "is_nonzero" in n}


def test_torch_in_bf16_is_near(model: Bundle, codecs: dict[str, WaveNetCodec]) -> None:
    rough = open_codec(model, "torch", device="cpu", precision="bf16")
    assert rough.runtime == "torch (CPU, bf16)"
    asked, past = request(CONFIG), follow(CONFIG)
    drawn = [c.network.decode(**asked, follow=past) for c in (rough, codecs["float32"])]  # type: ignore[attr-defined]
    assert (drawn[0] == drawn[1]).mean() > 0.85
    assert rough.network.decode(**asked).shape == drawn[0].shape  # type: ignore[attr-defined]


def test_auto_takes_what_the_machine_has(model: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = "torch (CUDA)" if torch.cuda.is_available() else "kernel (CPU"
    assert open_codec(model).runtime.startswith(wanted)
    assert open_codec(model, device="cpu").runtime.startswith("kernel (CPU")
    # A driver alone is no GPU.
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert open_codec(model).runtime.startswith(wanted)


def test_what_cannot_be_run_says_why(model: Bundle) -> None:
    with pytest.raises(UnknownName, match="kernel"):
        open_codec(model, "kernal")
    with pytest.raises(UnknownName, match="bf16"):
        open_codec(model, "kernel", precision="bf17")
    with pytest.raises(UnknownName, match="did you mean cpu"):
        open_codec(model, "torch", device="gpu")
    with pytest.raises(UsageError, match="CPU alone"):
        open_codec(model, "kernel", device="cuda")
    with pytest.raises(UsageError, match="knows no coreml"):
        open_codec(model, "torch", device="coreml")
    with pytest.raises(UsageError, match="for bf16"):
        open_codec(model, "onnx", precision="bf16")
    if not has_bf16():
        with pytest.raises(DeviceError, match="float32"):
            open_codec(model, "kernel", precision="bf16")
    with pytest.raises(BundleError, match="export"):
        WaveNetKernel({"decoder.start.bias": np.zeros(3)}, CONFIG).decode(**request(CONFIG))
    with pytest.raises(BundleError, match="export"):
        WaveNetKernel({"encoder.start.bias": np.zeros(3)}, CONFIG).encode(np.zeros((1, CONFIG.steps, CONFIG.bands), np.float32))
    with pytest.raises(BundleError, match="--runtime torch"):
        WaveNetKernel({}, replace(CONFIG, width=9))
    from nsynth_instrument.runtimes.onnx import WaveNetOnnx

    encoder, condition = model.path("encoder.onnx"), model.path("condition.onnx")
    with pytest.raises(BundleError, match="step asks for input, as other versions' do"):
        WaveNetOnnx(encoder, condition, condition, CONFIG).decode(**request(CONFIG))
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="--device cpu"):
            open_codec(model, "torch", device="cuda")


def test_onnx_runtime_without_a_gpu_twice_or_not_at_all(model: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onnxruntime

    from nsynth_instrument.runtimes.onnx import PROVIDERS, session

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(DeviceError, match="pip uninstall -y onnxruntime && pip install"):
            open_codec(model, "onnx", device="cuda")
    for device in ("tensorrt", "directml", "coreml"):
        if PROVIDERS[device][0] + "ExecutionProvider" not in onnxruntime.get_available_providers():
            with pytest.raises(DeviceError, match=f"{device} was asked for"):
                open_codec(model, device=device)
    (tmp_path / "bad.onnx").write_bytes(b"no graph")

    with pytest.raises(BundleError, match="export the model again"):
        session(tmp_path / "bad.onnx")
    with monkeypatch.context() as m:
        m.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(MissingExtra, match=r"\[cpu\]"):
            open_codec(model, "onnx")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: SimpleNamespace(name=name))
    with pytest.raises(NsynthError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        open_codec(model, "onnx")
