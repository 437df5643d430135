"""The spectral autoencoders: the published shape, spectra and back, phases, runtimes that agree, training, export, rendering."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from nsynth_instrument import bundle  # noqa: E402
from nsynth_instrument.bundle import Bundle  # noqa: E402
from nsynth_instrument.codecs import Among  # noqa: E402
from nsynth_instrument.codecs.spectral import PublishedCodec, SpectralCodec  # noqa: E402
from nsynth_instrument.dsp import phase, spectra  # noqa: E402
from nsynth_instrument.dsp.pitch import cents_off  # noqa: E402
from nsynth_instrument.dsp.stft import istft, stft  # noqa: E402
from nsynth_instrument.errors import BundleError, DataError  # noqa: E402
from nsynth_instrument.nets.spectral import Frames, Published, build  # noqa: E402
from nsynth_instrument.nets.spectral_config import NFFT_1024, SpectralConfig  # noqa: E402
from nsynth_instrument.notes import Note, hz  # noqa: E402
from nsynth_instrument.runtimes import RUNTIMES, open_codec  # noqa: E402
from nsynth_instrument.runtimes.kernel_spectral import PublishedKernel  # noqa: E402
from nsynth_instrument.training import plan  # noqa: E402

LEAD = spectra.LEAD
SMALL = SpectralConfig(encoder=24, slow=24, fast=16)


def tone(pitch: float, seconds: float = 2.0) -> np.ndarray:
    t = np.arange(round(16000 * seconds)) / 16000
    partials = [np.sin(2 * np.pi * k * hz(pitch) * t + k * k) / k for k in range(1, 9) if k * hz(pitch) < 7500]
    return (0.2 * np.exp(-t) * np.sum(partials, axis=0)).astype(np.float32)


def convergence(magnitude: np.ndarray, audio: np.ndarray) -> float:
    found = np.abs(stft(audio, 1024, 256, lead=LEAD))
    return float(20 * np.log10(np.linalg.norm(found - magnitude) / np.linalg.norm(magnitude)))


def test_the_published_network_has_its_parameters_and_shapes() -> None:
    net = Published().eval()
    moving = sum(v.numel() for k, v in net.state_dict().items() if "running" in k)
    assert sum(p.numel() for p in net.parameters()) + moving == 36_779_713
    with torch.no_grad():
        z = net.encode(torch.rand(1, 512, 256))
        assert z.shape == (1, 1984)
        assert net.decode(z, torch.tensor([60])).shape == (1, 512, 256)


@pytest.mark.parametrize("lead", [None, LEAD])
def test_spectra_there_and_back(lead: int | None) -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 5120).astype(np.float32)
    there = stft(audio, 1024, 256, lead=lead)
    assert there.shape == ((21 if lead is None else 20), 513)
    np.testing.assert_allclose(istft(there, 256, len(audio), lead=lead)[512:-512], audio[512:-512], atol=1e-5)


def test_a_full_sine_is_0_db_and_silence_the_floor() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(8192) / 16000).astype(np.float32)
    level = spectra.levels(sine)
    assert level.shape == (32, 513)
    assert level[16, 64] == pytest.approx(1, abs=1e-4)
    assert spectra.levels(np.zeros(1024, np.float32)).max() == pytest.approx(spectra.FLOOR / 50 + 1)
    np.testing.assert_allclose(spectra.magnitudes(level)[16], np.abs(stft(sine, 1024, 256, lead=LEAD))[16], atol=0.01)


def test_the_comb_is_where_the_harmonics_are() -> None:
    number, comb = spectra.harmonics(69)
    level = spectra.levels(np.sin(2 * np.pi * 880 * np.arange(8192) / 16000).astype(np.float32))[16]
    at = int(level.argmax())
    assert number[at] == pytest.approx(2, abs=0.02)
    np.testing.assert_allclose((comb - comb[at])[at - 1 : at + 2], 50 * (level - level[at])[at - 1 : at + 2], atol=2)
    assert comb[0] == comb[round(1.5 * 440 / 15.625)] == -60


def test_phases_make_sound_in_tune() -> None:
    for pitch in (45, 60, 84):
        audio = tone(pitch)
        magnitude = np.abs(stft(audio, 1024, 256, lead=LEAD))
        rng = np.random.default_rng(0)
        made = {
            "integrate": phase.integrate(magnitude, 256, rng),
            "advance": phase.advance(magnitude, 256, hz(pitch) / 16000, rng),
            "random": rng.uniform(0, 2 * np.pi, magnitude.shape).astype(np.float32),
        }
        sound = {k: phase.griffin_lim(magnitude, p, 256, len(audio), iterations=1, lead=LEAD) for k, p in made.items()}
        gap = {k: convergence(magnitude, s) for k, s in sound.items()}
        assert max(gap["integrate"], gap["advance"]) < -16 < gap["random"]
        assert abs(cents_off(sound["advance"], 16000, pitch)) < 2
        assert abs(cents_off(sound["integrate"], 16000, pitch)) < 3


def test_iterations_come_nearer_and_momentum_faster() -> None:
    audio = tone(60)
    magnitude = np.abs(stft(audio, 1024, 256, lead=LEAD))
    start = np.random.default_rng(0).uniform(0, np.pi, magnitude.shape).astype(np.float32)

    def gap(iterations: int, momentum: float = 0.0) -> float:
        made = phase.griffin_lim(magnitude, start, 256, len(audio), iterations=iterations, momentum=momentum, lead=LEAD)
        return convergence(magnitude, made)

    assert gap(1) > gap(8) > gap(32) > gap(32, 0.99)


def _files(config: SpectralConfig) -> dict[str, bytes]:
    from nsynth_instrument.training.spectral_export import contents

    torch.manual_seed(0)
    return contents(build(config).state_dict(), config)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle.write(
        tmp_path_factory.mktemp("models") / "spectral", _files(SMALL), name="spectral", kind="spectral", rate=16000, hop=512, dims=16,
        licence="MIT", sources=("none",), network=SMALL.to_dict(), training={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def codecs(model: Bundle) -> dict[str, SpectralCodec]:
    return {r: open_codec(model, r, device="cpu", threads=1) for r in RUNTIMES}  # type: ignore[misc]


def test_the_runtimes_say_the_same(codecs: dict[str, SpectralCodec]) -> None:
    assert [codecs[r].runtime for r in RUNTIMES] == ["kernel (CPU)", "onnx (CPU)", "torch (CPU)"]
    audio, notes = [tone(60), tone(70, 0.7)], [Note(60, 90), Note(70, 30)]
    codes = {r: c.encode(audio, notes) for r, c in codecs.items()}
    assert [c.shape for c in codes["kernel"]] == [(63, 16), (22, 16)]
    said = {r: c.magnitudes(codes["kernel"], notes) for r, c in codecs.items()}
    for r in ("onnx", "torch"):
        for i in range(2):
            np.testing.assert_allclose(codes[r][i], codes["kernel"][i], atol=1e-4)
            np.testing.assert_allclose(np.log(said[r][i]), np.log(said["kernel"][i]), atol=1e-3)


def test_a_note_is_a_function_of_seed_pitch_and_velocity(codecs: dict[str, SpectralCodec]) -> None:
    codes = [np.random.default_rng(i).normal(size=(n, 16)).astype(np.float32) for i, n in enumerate((30, 40))]
    notes = [Note(60), Note(61)]
    both = codecs["kernel"].decode(codes, notes, seed=3)
    assert [len(a) for a in both] == [30 * 512, 40 * 512]
    np.testing.assert_array_equal(codecs["kernel"].decode(codes[1:], notes[1:], seed=3)[0], both[1])
    assert not np.array_equal(codecs["kernel"].decode(codes[1:], notes[1:], seed=4)[0], both[1])


def test_positions_of_a_morph_are_a_quarter_turn_apart(codecs: dict[str, SpectralCodec]) -> None:
    codes = [np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)] * 2
    among = [Among((k, 0), {}, {}) for k in range(2)]
    a, b = codecs["kernel"].decode(codes, [Note(60)] * 2, seed=3, among=among)
    assert abs(float(a @ b)) < 0.1 * float(np.linalg.norm(a) * np.linalg.norm(b))
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b), rel=0.05)


class Echo:
    """A network that says what it hears: the codec around the published network, without the network."""

    runtime = "echo"
    heard = np.zeros((1, 512, 256), np.float32)

    def encode(self, *arrays: np.ndarray) -> np.ndarray:
        self.heard = arrays[0]
        return np.zeros((1, 1984), np.float32)

    def decode(self, *arrays: np.ndarray) -> np.ndarray:
        assert arrays[0].shape == (1, 1984)
        return self.heard


def test_the_published_codec_keeps_level_length_and_pitch() -> None:
    about = Bundle(Path(), "x", "spectral", 16000, 512, 16, "", (), NFFT_1024.to_dict(), {})
    codec = PublishedCodec(about, Echo(), threads=1)
    audio = np.pad(tone(57, 3.0), (0, 8000))
    codes = codec.encode([audio], [Note(57)])
    assert codes[0].shape == (codec.frames, 16) == (125, 16)
    made = codec.decode(codes, [Note(57)])[0]
    assert len(made) == 64000
    assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(np.pad(audio, (0, 8000)) ** 2)), rel=0.05)
    assert abs(cents_off(made, 16000, 57)) < 3


def test_the_published_kernel_is_the_network() -> None:
    torch.manual_seed(0)
    net = Published().eval()
    for layer in [*net.encoder.values(), *net.decoder.values()]:
        torch.nn.init.uniform_(layer.norm.running_var, 0.5, 2)
        torch.nn.init.normal_(layer.norm.running_mean, 0, 0.1)
        torch.nn.init.normal_(layer.norm.bias, 0, 0.1)
    kernel = PublishedKernel({k: v.numpy() for k, v in net.state_dict().items()})
    heard = torch.rand(1, 512, 256)
    with torch.no_grad():
        z = net.encode(heard)
        says = net.decode(z, torch.tensor([64]))
    np.testing.assert_allclose(kernel.encode(heard.numpy()), z, atol=2e-5)
    np.testing.assert_allclose(kernel.decode(z.numpy(), np.array([64])), says, atol=2e-5)
    with pytest.raises(BundleError, match="not those"):
        PublishedKernel({"pitch": np.zeros(3)})


def test_impossible_networks_are_refused() -> None:
    for values in ({"form": "cepstral"}, {"encoder": 0}, {"slow_dilations": [1, 9999]}, {"wings": 2}):
        with pytest.raises(BundleError):
            SpectralConfig.of(values)
    assert SpectralConfig.of(SMALL.to_dict()) == SMALL
    assert SpectralConfig.of(NFFT_1024.to_dict()) == NFFT_1024
    assert SpectralConfig.of(plan.load("spectral-small").network) == SpectralConfig()
    assert 1e6 < sum(p.numel() for p in Frames(SpectralConfig()).parameters()) < 3e6


def test_it_learns_trains_and_exports_as_commands(tones: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from nsynth_instrument.training.commands import export, train
    from nsynth_instrument.training.plan import prepare, recall

    (tmp_path / "tiny.toml").write_text(
        'kind = "spectral"\n[network]\nencoder = 16\nslow = 16\nfast = 16\nencoder_dilations = [1]\n[recipe]\nframes = 8\n'
        '[schedule]\nbatch = 4\nwarmup = 10\nprecision = "no"\n'
    )
    run, cache = tmp_path / "run", tmp_path / "c"
    asked = [str(tmp_path / "tiny.toml"), "--data", str(tones), "--run", str(run), "--minutes", "0.04", "--cache", str(cache)]
    assert CliRunner().invoke(train, asked, catch_exceptions=False).exit_code == 0
    task, _, _ = prepare(recall(run)[0], tones, cache, lambda *_: None)
    torch.manual_seed(0)
    net = task.module()
    before = task.validate(net.eval())["loss"]
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    for step in range(30):
        optimiser.zero_grad()
        net.train()(**task.batch(np.random.default_rng(step), 4))["loss"].backward()
        optimiser.step()
    assert task.validate(net.eval())["loss"] < 0.7 * before
    out = tmp_path / "models" / "small"
    CliRunner().invoke(export, [str(run), "--out", str(out)], catch_exceptions=False)
    made = bundle.read(out)
    assert (made.kind, made.rate, made.hop, made.dims) == ("spectral", 16000, 512, 16)
    assert open_codec(made).encode([tone(60)], [Note(60)])[0].shape == (63, 16)
    (tmp_path / "big.toml").write_text('kind = "spectral"\n[network]\nform = "nfft_1024"\n')
    with pytest.raises(DataError, match="spectral-small"):
        prepare(plan.load(str(tmp_path / "big.toml")), tones, cache, lambda *_: None)


def test_the_shipped_model_is_in_tune() -> None:
    from nsynth_instrument.instruments import read_bank

    model = bundle.read(Path(bundle.__file__).parent / "data" / "spectral")
    codec = open_codec(model, threads=1)
    flute, notes = read_bank(model)["flute"], [Note(66), Note(84)]
    for note, made in zip(notes, codec.decode([flute.at(n) for n in notes], notes), strict=True):
        assert abs(cents_off(made, codec.rate, note.pitch)) < 3
        assert 0.01 < np.abs(made).max() < 2
    assert sum(f.stat().st_size for f in model.folder.iterdir()) < 8_000_000
