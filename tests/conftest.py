"""A whole small model of the real kind, with random weights: what `render` needs, in a tenth of a second.

Also how tests share the processors: a file's tests stay together, and a failure is shown at once.
"""

import os

# As the command line has it, before NumPy is loaded: products by two threads round otherwise than by one. PyTorch's, too:
# tests run side by side, and threads that wait for one another take the time of those that work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, settings
from safetensors.numpy import save

from nsynth_instrument import bundle
from nsynth_instrument.bank import Instrument, InstrumentBank
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.dsp import partials, timbre
from nsynth_instrument.notes import hz

if TYPE_CHECKING:
    from nsynth_instrument.live.samples import Sound


settings.register_profile("any machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


TOGETHER = {"live": ("test_live",), "wavenet": ("test_kernel", "test_runtimes", "test_guided", "test_wavenet", "test_magenta")}
"""Files whose tests one worker has, in one process: they share a sound server, or what takes 20 s to compile."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """What a file's tests share is made once, by the worker that has them all."""
    file = item.path.stem
    group = next((name for name, begins in TOGETHER.items() if file.startswith(begins)), file)
    item.add_marker(pytest.mark.xdist_group(group))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_AtOnce(config), "at once")


class _AtOnce:
    """A failure is shown when it happens: what pytest says at the end is lost if the run is cut short."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.ensure_newline()
            terminal.section(f"{report.when} of {report.nodeid} failed")
            report.toterminal(terminal._tw)


def instrument(name: str, *, family: str = "flute", seed: int = 0, frames: int = 125) -> Instrument:
    """Random codes at every octave and two velocities."""
    rng = np.random.default_rng(seed)
    grid = [(p, v) for p in range(24, 100, 12) for v in (50, 100)]
    pitches, velocities = (np.array(column, np.int16) for column in zip(*grid, strict=True))
    codes = np.clip(rng.normal(0, 0.8, (len(grid), 1, 16)) + rng.normal(0, 0.1, (len(grid), frames, 16)), -3, 3)
    return Instrument(name, family, "acoustic", name.title(), "MIT", pitches, velocities, codes.astype(np.float32))


def small_bundle(folder: Path, *, name: str = "harmonic", seed: int = 0) -> Bundle:
    """A harmonic bundle with a narrow random network and four instruments."""
    from nsynth_instrument.nets.harmonic import Harmonic, HarmonicConfig

    config = HarmonicConfig(encoder=8, slow=8, fast=8)
    rng = np.random.default_rng(seed)
    # Random timbres over 20 dB of level, but no noise and no vibrato to speak of: a sound with a pitch.
    weights = {k: rng.normal(0, 0.2, tuple(v.shape)).astype(np.float32) for k, v in Harmonic(config).state_dict().items()}
    weights["say.weight"] *= 0.2
    envelope, slots = timbre.POINTS, timbre.SLOTS
    weights["say.bias"] = np.zeros(timbre.OUT, np.float32)
    weights["say.bias"][:envelope] = np.linspace(2, 0.5, envelope)
    weights["say.bias"][envelope + 2 * slots :] = -6
    weights["say.bias"][envelope + 2 * slots + partials.BANDS] = 0  # the deviation in pitch
    weights["say.weight"][envelope + slots :] = 0
    sounds = [("flute", "flute"), ("bass", "bass"), ("piano", "keyboard"), ("pizzicato", "string")]
    bank = InstrumentBank.of(instrument(n, family=f, seed=i) for i, (n, f) in enumerate(sounds))
    return bundle.write(
        folder / name,
        {"weights.safetensors": save(weights), "bank.safetensors": bank.to_bytes()},
        name=name,
        kind="harmonic",
        rate=48000,
        hop=1536,
        dims=16,
        licence="MIT",
        sources=("made of random numbers",),
        network=config.to_dict(),
        training={"seed": seed},
    )


@pytest.fixture(scope="session")
def _model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("home") / "models")


@pytest.fixture
def model(_model: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bundle:
    """The small model is the user's own and shadows the shipped one; the current folder is empty."""
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(_model.folder.parent.parent))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return _model


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two instruments to train on, one held out: decaying tones of four keys at 16 kHz."""
    folder = tmp_path_factory.mktemp("tones")
    t = np.arange(8000) / 16000
    for split, names in (("train", ["a", "b"]), ("valid", ["c"])):
        listing = {}
        (folder / split / "audio").mkdir(parents=True)
        for i, name in enumerate(names):
            for pitch in (45, 46, 57, 69):
                for velocity in (50, 100):
                    key = f"{name}-{pitch:03d}-{velocity:03d}"
                    note = velocity / 127 * np.exp(-3 * t) * np.sin(2 * np.pi * hz(pitch) * t + i)
                    soundfile.write(folder / split / "audio" / f"{key}.wav", note, 16000)
                    listing[key] = {
                        "instrument_str": name, "pitch": pitch, "velocity": velocity, "soundfont": "tones.sf2",
                        "instrument_family": 2, "instrument_source": 0,
                    }  # fmt: skip
        (folder / split / "examples.json").write_text(json.dumps(listing))
    return folder


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> "dict[str, Sound]":
    """What the engine is tested with, loaded once."""
    import engines

    return engines.sounds(tmp_path_factory.mktemp("packs"))


@pytest.fixture(scope="session")
def flute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of three looped tones."""
    import livepacks

    return livepacks.make(tmp_path_factory.mktemp("p") / "flute", pitches=(48, 60, 72), looped=True, seconds=1.5, release=0.2)


@pytest.fixture(scope="session")
def _done(_model: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import plans

    folder = tmp_path_factory.mktemp("packs") / "pack"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NSYNTH_INSTRUMENT_HOME", str(_model.folder.parent.parent))
        plans.run(plans.PLAN, folder)
    return folder


@pytest.fixture
def done(_done: Path, model: Bundle, tmp_path: Path) -> Path:
    """A finished pack of plans.PLAN, to be looked at or changed."""
    return Path(shutil.copytree(_done, tmp_path / "pack"))
