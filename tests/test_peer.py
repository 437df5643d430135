"""The whole of Google's NSynth under TensorFlow, beside this program, with the same weights: `scripts/test --peer`.

What it measured is in docs/original.md.
"""

import os
from pathlib import Path

import numpy as np
import peerdata
import pytest

from nsynth_instrument.bundle import Bundle
from nsynth_instrument.dsp import mulaw, spectra
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import RUNTIMES, open_codec

FOLDER = Path(os.environ.get("NSYNTH_PEER") or "missing")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="only with scripts/test --peer")


def told(what: str, figure: object) -> None:
    print(f"\n{what}: {figure}", end="")


@pytest.fixture(scope="module")
def peer() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "peer.npz", allow_pickle=False) as f:
        return dict(f)


def imported(name: str, folder: Path) -> Bundle:
    from nsynth_instrument.training.magenta import import_checkpoint

    return import_checkpoint(FOLDER / name, folder / name, graphs=True)


@pytest.fixture(scope="module")
def wavenet(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return imported("model.ckpt-200000", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return imported("baseline.ckpt-1", tmp_path_factory.mktemp("models"))


def test_mu_law(peer: dict[str, np.ndarray]) -> None:
    wrong = int((mulaw.encode(peerdata.levels()).astype(int) - 128 != peer["mu_law"]).sum())
    told("mu-law mismatches", f"{wrong} of {len(peer['mu_law'])}")
    assert wrong == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_codes_of_a_note(peer: dict[str, np.ndarray], wavenet: Bundle, runtime: str) -> None:
    codes = open_codec(wavenet, runtime, device="cpu", precision="float32").encode([peerdata.note()], [Note(60)])[0]
    off = float(np.abs(codes - peer["whole"]).max())
    told(f"codes of 4 s, {runtime}", f"{off:.2g} at scale {np.abs(peer['whole']).max():.3g}")
    assert off < 2e-5


def test_logits(peer: dict[str, np.ndarray], wavenet: Bundle) -> None:
    torch = pytest.importorskip("torch")
    net = open_codec(wavenet, "torch", device="cpu").network._net  # type: ignore[attr-defined]
    heard = torch.from_numpy(mulaw.companded(mulaw.encode(peerdata.note(2048))))[None, :, None]
    with torch.no_grad():
        logits = net.decoder(heard, torch.zeros(1, 2048, 0), torch.from_numpy(peer["codes"])[None])[0, :, 0].numpy()
    off = float(np.abs(logits - peer["logits"]).max() / np.abs(peer["logits"]).max())
    told("logits, relative", f"{off:.2g} at scale {np.abs(peer['logits']).max():.3g}")
    assert off < 5e-5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_forced_generation(peer: dict[str, np.ndarray], wavenet: Bundle, runtime: str) -> None:
    samples = len(peer["forced"])
    frames = -(-samples // 512)

    def filled(values: np.ndarray) -> np.ndarray:
        return np.pad(values[:samples], (0, frames * 512 - samples))[None, :, None]

    network = open_codec(wavenet, runtime, device="cpu", precision="float32").network  # type: ignore[attr-defined]
    drawn = network.decode(
        peer["codes"][None, :frames], np.array([60]), np.array([100]), filled(peerdata.noise(samples)), follow=filled(peerdata.past(samples))
    )
    same = int((drawn[0, :samples, 0] == peer["forced"][:samples]).sum())
    assert samples == 2000
    told(f"forced classes, {runtime}", f"{same} of {samples} the same, {len(np.unique(peer['forced']))} classes")
    assert same == samples


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_baseline(peer: dict[str, np.ndarray], baseline: Bundle, runtime: str) -> None:
    network = open_codec(baseline, runtime, device="cpu").network  # type: ignore[attr-defined]
    heard, _ = spectra.published(peerdata.note())
    z = network.encode(peer["heard"][None])[0]
    says = network.decode(peer["z"][None], np.array([peerdata.PITCH]))[0]
    off = float(np.abs(heard - peer["heard"]).max()), float(np.abs(z - peer["z"]).max()), float(np.abs(says - peer["says"]).max())
    scale = float(np.abs(peer["z"]).max())
    told(f"baseline, {runtime}", f"heard {off[0]:.2g}, z {off[1]:.2g} ({off[1] / scale:.2g} of its scale {scale:.3g}), says {off[2]:.2g}")
    assert off[0] < 1e-6
    assert off[1] < 1e-6 * max(1, scale)
    assert off[2] < 1e-6
