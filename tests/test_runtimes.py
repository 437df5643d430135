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
from nsynth_instrument.runtimes import RUNTIMES, open_codec  # noqa: E402
from nsynth_instrument.runtimes.kernel_simd import exp, gate, pack, product  # noqa: E402
from nsynth_instrument.runtimes.kernel_wavenet import TILE, WaveNetKernel  # noqa: E402

CONFIG = WaveNetConfig(
    hop=32, bands=2, encoder_width=8, encoder_layers=2, encoder_stages=2, bound=3.0, width=8, skip=12, layers=3, stages=2, kernel=3,
    pitch="basis", velocity=True,
)  # fmt: skip
# As the paper's: one band, no pitch, no velocity, no bound.
PLAIN = replace(CONFIG, bands=1, bound=0.0, pitch="none", velocity=False, kernel=2)


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


@pytest.fixture(scope="module")
def codecs(model: Bundle) -> dict[str, WaveNetCodec]:
    return {r: open_codec(model, r, device="cpu", threads=1) for r in RUNTIMES}  # type: ignore[misc]


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
    assert [codecs[r].runtime for r in RUNTIMES] == ["kernel (CPU)", "onnx (CPU)", "torch (CPU)"]


def test_codes_agree(codecs: dict[str, WaveNetCodec]) -> None:
    audio = [np.random.default_rng(i).normal(0, 0.1, n).astype(np.float32) for i, n in enumerate((500, 1024, 500))]
    codes = {r: c.encode(audio, [Note(60)] * 3) for r, c in codecs.items()}
    assert [c.shape for c in codes["kernel"]] == [(16, 16), (32, 16), (16, 16)]
    for r in ("onnx", "torch"):
        for mine, other in zip(codes["kernel"], codes[r], strict=True):
            np.testing.assert_allclose(mine, other, atol=2e-5)


@pytest.mark.parametrize("forced", [True, False])
def test_classes_agree(codecs: dict[str, WaveNetCodec], forced: bool) -> None:
    past = follow(CONFIG) if forced else None
    drawn = {r: c.network.decode(**request(CONFIG), follow=past, temperature=0.9) for r, c in codecs.items()}
    for r in RUNTIMES:
        assert (drawn[r].dtype, drawn[r].shape) == (np.uint8, (5, 48, 2))
        # A class differs only where the noise lies on an edge of the CDF to the last digit.
        assert (drawn[r] == drawn["kernel"]).mean() > (0.995 if forced else 0.9)
    assert len(np.unique(drawn["kernel"])) > 50


@pytest.mark.parametrize("config", [CONFIG, PLAIN])
def test_the_kernel_draws_by_the_logits_of_the_network(config: WaveNetConfig) -> None:
    w, asked, past = weights(config), request(config, batch=37), follow(config, batch=37)
    net = WaveNet(config).eval()
    net.load_state_dict({k: torch.from_numpy(v).float() for k, v in w.items()})
    source = np.zeros((37, past.shape[1], 0), np.float32)
    told = config.conditioning(asked["codes"], asked["pitch"], asked["velocity"])
    with torch.no_grad():
        logits = net.decoder(*(torch.from_numpy(a) for a in (mulaw.companded(past), source, told)))
    shares = (logits.double() / 0.7).softmax(dim=-1).numpy()
    tops = shares.cumsum(axis=-1)
    drawn = WaveNetKernel(w, config, threads=2).decode(**asked, follow=past, temperature=0.7)
    at = drawn[..., None].astype(int)
    top = np.take_along_axis(tops, at, -1)[..., 0]
    bottom = top - np.take_along_axis(shares, at, -1)[..., 0]
    assert (asked["noise"] <= top + 2e-6).all()
    assert (asked["noise"] >= bottom - 2e-6).all()


def test_a_note_does_not_depend_on_its_batch_order_or_threads() -> None:
    w, asked = weights(CONFIG), request(CONFIG, batch=TILE + 9)
    together = WaveNetKernel(w, CONFIG, threads=2).decode(**asked)
    turned = WaveNetKernel(w, CONFIG, threads=1).decode(**{k: v[::-1] for k, v in asked.items()})
    alone = WaveNetKernel(w, CONFIG, threads=1).decode(**{k: v[3:4] for k, v in asked.items()})
    np.testing.assert_array_equal(together, turned[::-1])
    np.testing.assert_array_equal(together[3:4], alone)


def test_a_rendered_note_is_a_function_of_seed_pitch_and_velocity(codecs: dict[str, WaveNetCodec]) -> None:
    codec = codecs["kernel"]
    rng = np.random.default_rng(0)
    codes = [rng.normal(size=(n, 16)).astype(np.float32) for n in (6, 9, 6)]
    notes = [Note(60, 100), Note(61, 100), Note(60, 90)]
    many = codec.decode(codes, notes, seed=7)
    assert [len(a) for a in many] == [n * CONFIG.hop for n in (6, 9, 6)]
    np.testing.assert_array_equal(codec.decode(codes[:1], notes[:1], seed=7)[0], many[0])
    assert not np.array_equal(codec.decode(codes[:1], notes[:1], seed=8)[0], many[0])
    other = codecs["torch"].decode(codes, notes, seed=7)
    for a, b in zip(many, other, strict=True):
        assert np.mean(a == b) > 0.5


def test_the_small_product_and_the_gate() -> None:
    rng = np.random.default_rng(0)
    for outputs, inputs, lanes in ((4, 1, 16), (12, 7, 48), (64, 33, 32)):
        weight, x = rng.normal(size=(outputs, inputs)).astype(np.float32), rng.normal(size=(inputs, lanes)).astype(np.float32)
        out = rng.normal(size=(outputs, lanes)).astype(np.float32)
        wanted = out + weight @ x
        product(pack(weight), x, out)
        np.testing.assert_allclose(out, wanted, atol=1e-5)
    z = np.concatenate([rng.normal(0, 5, (3, 16)), rng.normal(0, 5, (3, 16))]).astype(np.float32)
    z[0, :4], z[3, :4] = [100, -100, 0, 88], [100, -100, 0, -90]
    out = np.empty((3, 16), np.float32)
    gate(z, out)
    exact = z.astype(np.float64)
    np.testing.assert_allclose(out, np.tanh(exact[3:]) / (1 + np.exp(-exact[:3])), atol=1e-6)
    for x in (-87.0, -1.0, 0.0, 1e-3, 1.0, 80.0):
        assert exp.py_func(np.float32(x)) == pytest.approx(np.exp(x), rel=5e-6)


def test_what_cannot_be_run_says_why(model: Bundle) -> None:
    with pytest.raises(UnknownName, match="kernel"):
        open_codec(model, "kernal")
    with pytest.raises(UnknownName, match="did you mean cpu"):
        open_codec(model, "torch", device="gpu")
    with pytest.raises(UsageError, match="CPU alone"):
        open_codec(model, "kernel", device="cuda")
    with pytest.raises(BundleError, match="export"):
        WaveNetKernel({"decoder.start.bias": np.zeros(3)}, CONFIG)
    with pytest.raises(BundleError, match="--runtime torch"):
        WaveNetKernel({}, replace(CONFIG, width=9))
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="--device cpu"):
            open_codec(model, "torch", device="cuda")


def test_onnx_runtime_without_a_gpu_twice_or_not_at_all(model: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(DeviceError, match="pip uninstall -y onnxruntime && pip install"):
            open_codec(model, "onnx", device="cuda")
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    from nsynth_instrument.runtimes.onnx import session

    with pytest.raises(BundleError, match="export the model again"):
        session(tmp_path / "bad.onnx")
    with monkeypatch.context() as m:
        m.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(MissingExtra, match=r"\[cpu\]"):
            open_codec(model, "onnx")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: SimpleNamespace(name=name))
    with pytest.raises(NsynthError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        open_codec(model, "onnx")
