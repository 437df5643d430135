"""Published checkpoints: read without TensorFlow, damage told in a sentence, and the original's own answers met."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import peerdata
import pytest

torch = pytest.importorskip("torch")

from nsynth_instrument.dsp import mulaw, spectra  # noqa: E402
from nsynth_instrument.errors import BundleError, DataError  # noqa: E402
from nsynth_instrument.nets.spectral import Published  # noqa: E402
from nsynth_instrument.nets.wavenet import WaveNet, sample  # noqa: E402
from nsynth_instrument.nets.wavenet_config import H512  # noqa: E402
from nsynth_instrument.runtimes import open_codec  # noqa: E402
from nsynth_instrument.training import magenta  # noqa: E402
from nsynth_instrument.training.checkpoint import Checkpoint  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"
SMALL = {"a/W": (1, 3, 2, 4), "a/biases": (4,), "b/W": (1, 1, 4, 2)}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A checkpoint that TensorFlow wrote, to be damaged."""
    for file in GOLDEN.glob("small.ckpt-7.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "small.ckpt-7"


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_any_of_its_names_opens_a_checkpoint(small: Path, ending: str) -> None:
    found = Checkpoint(small.with_name(small.name + ending))
    get = magenta.checked(found, SMALL, average=False)
    for name, shape in SMALL.items():
        np.testing.assert_array_equal(get(name), peerdata.weight(name, shape))
    assert int(found.tensor("global_step")) == 7


def test_moving_averages_are_taken_when_asked_for(small: Path) -> None:
    found = Checkpoint(small)
    get = magenta.checked(found, SMALL, average=True)
    np.testing.assert_array_equal(get("a/W"), peerdata.weight("a/W" + magenta.AVERAGE, SMALL["a/W"]))
    assert list(magenta.foreign(found, SMALL)) == []
    assert list(magenta.foreign(found, {"a/W": ()})) == ["a/biases", "a/biases" + magenta.AVERAGE, "b/W", "b/W" + magenta.AVERAGE]
    del found.entries["b/W" + magenta.AVERAGE]
    with pytest.raises(DataError, match="lacks b/W/ExponentialMovingAverage"):
        magenta.checked(found, SMALL, average=True)
    found.entries = {k: v for k, v in found.entries.items() if not k.endswith(magenta.AVERAGE)}
    with pytest.raises(DataError, match="without --average"):
        magenta.checked(found, SMALL, average=True)


def test_another_network_is_told_by_name_or_shape(small: Path, tmp_path: Path) -> None:
    found = Checkpoint(small)
    with pytest.raises(DataError, match=r"lacks c/W"):
        magenta.checked(found, SMALL | {"c/W": (1,)}, average=False)
    with pytest.raises(DataError, match=r"a/biases is \(4,\) <f4, not \(5,\)"):
        magenta.checked(found, SMALL | {"a/biases": (5,)}, average=False)
    with pytest.raises(DataError, match="neither NSynth's WaveNet nor"):
        magenta.import_checkpoint(small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def read_all(path: Path) -> None:
    found = Checkpoint(path)
    for name in found.entries:
        found.tensor(name)


def test_every_cut_and_every_changed_byte_of_the_index_is_noticed(small: Path) -> None:
    index = small.with_name(small.name + ".index")
    whole = index.read_bytes()
    for cut in range(0, len(whole), 7):
        index.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="get it again"):
            read_all(small)
    unused = 0
    for at in range(0, len(whole), 3):
        index.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        try:
            read_all(small)
        except DataError:
            continue
        unused += 1
    # Nothing reads the metaindex, which is an empty block of 13 bytes, its handle, and the footer's padding.
    assert unused * 3 < 13 + 40


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda data: data[:-9], "cut off"),
        (lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "does not match its checksum"),
        (lambda data: None, "cannot read"),
    ],
)
def test_damaged_data_is_told(small: Path, harm: Callable[[bytes], bytes | None], words: str) -> None:
    file = small.with_name(small.name + ".data-00000-of-00001")
    data = harm(file.read_bytes())
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_all(small)


def test_what_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=r"no V2 checkpoint"):
        Checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(DataError, match="name the checkpoint's prefix"):
        Checkpoint(tmp_path / "nothing")
    (tmp_path / "ckpt.tar").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="must be unpacked first"):
        Checkpoint(tmp_path / "ckpt.tar")
    (tmp_path / "x.index").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="does not end as a table does"):
        Checkpoint(tmp_path / "x")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """What magenta's own graphs answered; scripts/peer.py made it."""
    with np.load(GOLDEN / "peer.npz", allow_pickle=False) as f:
        return dict(f)


def test_mu_law_is_the_originals(golden: dict[str, np.ndarray]) -> None:
    assert int((mulaw.encode(peerdata.levels()).astype(int) - 128 != golden["mu_law"]).sum()) == 0


def test_the_wavenet_is_the_originals(golden: dict[str, np.ndarray]) -> None:
    shapes = magenta.wavenet_shapes(H512)
    assert (len(shapes), sum(int(np.prod(s)) for s in shapes.values())) == (374, 61_804_048)
    net = WaveNet(H512).eval()
    state = magenta.wavenet_weights(lambda name: peerdata.weight(name, shapes[name]), H512)
    net.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})

    def heard(classes: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(mulaw.companded(classes))[None, :, None]

    classes = mulaw.encode(peerdata.note(peerdata.WAVE))
    forced = np.pad(peerdata.past(peerdata.FORCED), (0, 512 - peerdata.FORCED))
    with torch.no_grad():
        codes = net.encoder(heard(classes))
        told = torch.from_numpy(golden["codes"])[None]
        logits = net.decoder(heard(classes), torch.zeros(1, peerdata.WAVE, 0), told)[0, ::32, 0].numpy()
        again = net.decoder(heard(forced), torch.zeros(1, 512, 0), told[:, :1])[:, : peerdata.FORCED, 0]
    np.testing.assert_allclose(codes[0], golden["codes"], atol=2e-5)
    assert np.abs(logits - golden["logits"]).max() < 5e-5 * np.abs(golden["logits"]).max()
    drawn = sample(again, torch.from_numpy(peerdata.noise(peerdata.FORCED))[None], torch.tensor(1.0))[0]
    np.testing.assert_array_equal(drawn, golden["forced"])
    assert len(np.unique(golden["forced"])) > 20


def test_the_baseline_is_the_originals(golden: dict[str, np.ndarray]) -> None:
    heard, _ = spectra.published(peerdata.note())
    np.testing.assert_allclose(heard[::8, ::8], golden["heard"], atol=1e-6)
    shapes = magenta.spectral_shapes()
    net = Published().eval()
    state = magenta.spectral_weights(lambda name: peerdata.weight(name, shapes[name]))
    net.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    with torch.no_grad():
        z = net.encode(torch.from_numpy(heard)[None])[0].numpy()
        says = net.decode(torch.from_numpy(golden["z"])[None], torch.tensor([peerdata.PITCH]))[0]
    assert np.abs(z - golden["z"]).max() < 1e-5 * np.abs(golden["z"]).max()
    np.testing.assert_allclose(says[::8, ::8], golden["says"], atol=1e-6)


@pytest.mark.parametrize("graphs", [False, True])
def test_graphs_are_made_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graphs: bool) -> None:
    pytest.importorskip("onnxruntime")
    small = dataclasses.replace(H512, width=8, skip=4, encoder_width=8, layers=4, stages=2, encoder_layers=4, encoder_stages=2)
    shapes = magenta.wavenet_shapes(small)

    class Found:
        prefix = tmp_path / "model.ckpt-1"
        entries: ClassVar = {name: SimpleNamespace(shape=shape, dtype="<f4") for name, shape in shapes.items()}

        def tensor(self, name: str) -> np.ndarray:
            return peerdata.weight(name, shapes[name])

    monkeypatch.setattr(magenta, "Checkpoint", lambda _: Found())
    monkeypatch.setattr(magenta, "H512", small)
    made = magenta.import_checkpoint(Found.prefix, tmp_path / "made", graphs=graphs)
    assert {f for f in made.files if f.endswith(".onnx")} == ({"encoder.onnx", "condition.onnx", "step.onnx"} if graphs else set())
    assert open_codec(made, "kernel", threads=1).runtime.startswith("kernel")
    if graphs:
        assert open_codec(made, "onnx", threads=1).runtime.startswith("onnx")
    else:
        with pytest.raises(BundleError, match="--graphs, or take --runtime kernel"):
            open_codec(made, "onnx")
