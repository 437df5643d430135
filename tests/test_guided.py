"""The guided WaveNet: what it is told, that its scale fits what it is asked for, that runtimes agree, and that it stays in tune."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from nsynth_instrument import audio as sound  # noqa: E402
from nsynth_instrument import bundle  # noqa: E402
from nsynth_instrument.bundle import Bundle  # noqa: E402
from nsynth_instrument.codecs import Among, Mixed  # noqa: E402
from nsynth_instrument.codecs.guided import GuidedCodec  # noqa: E402
from nsynth_instrument.dsp import guide, inphase, pqmf  # noqa: E402
from nsynth_instrument.dsp.additive import noise_bands  # noqa: E402
from nsynth_instrument.dsp.partials import HOP, RATE, SILENCE, SLOTS, Partials  # noqa: E402
from nsynth_instrument.dsp.pitch import cents_off  # noqa: E402
from nsynth_instrument.errors import BundleError, UnknownName  # noqa: E402
from nsynth_instrument.instruments import read_bank  # noqa: E402
from nsynth_instrument.nets.wavenet import Guided, companded, heard, level  # noqa: E402
from nsynth_instrument.nets.wavenet_config import GUIDED12, WaveNetConfig  # noqa: E402
from nsynth_instrument.notes import Note, hz  # noqa: E402
from nsynth_instrument.runtimes import RUNTIMES, open_codec  # noqa: E402
from nsynth_instrument.runtimes.kernel_wavenet import WaveNetKernel  # noqa: E402
from nsynth_instrument.training import features  # noqa: E402
from nsynth_instrument.training.guided import GuidedRecipe, GuidedTask  # noqa: E402
from tests.tones import falling  # noqa: E402

CONFIG = replace(GUIDED12, width=8, skip=8, layers=3, stages=2)


def tone(of: Partials, rng: np.random.Generator, before: int) -> np.ndarray:
    """The partials as audio with random phases, from `before` samples before the first frame to as many after the last."""
    t = (np.arange(len(of) * HOP + 2 * before) - before) / RATE
    loud = np.flatnonzero(of.level[0] > SILENCE)
    return sum(
        10 ** (of.level[0, k] / 20) * np.cos(2 * np.pi * ((k + 1) * of.f0 * t + rng.random())) for k in loud
    ).astype(np.float32)


def test_noise_is_one_in_units_of_the_scale() -> None:
    flat = replace(falling(noise=-80.0), level=np.full((48, SLOTS), SILENCE, np.float32))
    signal = pqmf.analysis(noise_bands(flat.noise, np.random.default_rng(0))[None], guide.BANDS)[0]
    levels, share = guide.scale(flat)
    size = np.sqrt(np.mean((signal / levels)[100:-100] ** 2, axis=0))
    # The highest of them reaches over 20 kHz, where neither has anything; the lowest has the band below 20 Hz in it.
    np.testing.assert_allclose(size[: guide.SAID - 1], 1, atol=0.1)
    assert np.abs(share[:, : guide.SAID]).max() < 1e-3


def test_powers_of_sines_are_those_of_their_bands() -> None:
    of = falling(f0=1525.0)
    of.level[:, 1] = -30.0
    sines, noise = guide.powers(of)
    led = pqmf.analysis(tone(of, np.random.default_rng(0), 0)[None], guide.BANDS)[0][100:-100]
    np.testing.assert_allclose(sines[0, :3], (led[:, :3] ** 2).mean(axis=0), rtol=0.01, atol=1e-11)
    assert noise.max() < 1e-20


def test_sines_take_the_phases_of_the_recording() -> None:
    of, reach = falling(), inphase.size_for(220.0) // 2
    audio = tone(of, np.random.default_rng(3), reach)
    left = audio[reach:-reach] - inphase.sines(audio, of)
    middle = slice(4 * HOP, -4 * HOP)
    assert np.mean(left[middle] ** 2) < 1e-5 * np.mean(audio[reach:-reach][middle] ** 2)


def test_noise_is_drawn_where_there_is_noise() -> None:
    windy, pure = (guide.calm(guide.scale(falling(noise=n))[1]) for n in (-70, -130))
    assert windy[:, 0].min() > 0.5
    assert pure[0, 0] == 1, "an onset is drawn whole"
    assert pure[1000, 0] < 0.05
    assert pure[1000, 5] == pytest.approx(1, abs=1e-3), "a band without sines is noise alone"


def test_what_is_told_lies_near_one_at_any_level() -> None:
    for gain in (0.0, -40.0):
        of = falling(noise=-90 + gain)
        of.level[of.level > SILENCE] += gain
        levels, share = guide.scale(of)
        led = pqmf.analysis(tone(of, np.random.default_rng(0), 0)[None], guide.BANDS)[0]
        told = guide.source(np.pad(led, ((1, 1), (0, 0))), levels, share)
        assert told.shape == (len(of) * guide.STEPS, guide.SOURCE)
        assert np.abs(told).max() < 10
        assert guide.colour(of).shape == (12, guide.TOLD)
    some = np.array([-9, 0, 0.1, 30], np.float32)
    np.testing.assert_allclose(guide.companded(some), companded(torch.from_numpy(some)).numpy(), rtol=1e-6)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GuidedTask:
    """Two instruments to train on, one held out: tones with noise, of four keys."""
    folder = tmp_path_factory.mktemp("guided")
    rng = np.random.default_rng(0)
    for split, names in (("train", ["a", "b"]), ("valid", ["c"])):
        listing = {}
        (folder / split / "audio").mkdir(parents=True)
        for name in names:
            for pitch in (45, 46, 57, 69):
                key = f"{name}-{pitch:03d}-100"
                one = tone(falling(hz(pitch), 250), rng, 0) + 0.01 * rng.standard_normal(250 * HOP)
                soundfile.write(folder / split / "audio" / f"{key}.wav", one, RATE)
                listing[key] = {
                    "instrument_str": name, "pitch": pitch, "velocity": 100,
                    "instrument_family": 2, "instrument_source": 0, "sample_rate": RATE,
                }  # fmt: skip
        (folder / split / "examples.json").write_text(json.dumps(listing))
    rows = features.rows(folder)
    assert dict(features.build(rows, folder / "features", workers=1)) == {"a": 4, "b": 4, "c": 4}
    recipe = GuidedRecipe(frames=4, held_pitches=(46,))
    return GuidedTask(features.load(folder / "features"), rows, CONFIG, recipe)


def test_a_crop_asks_for_the_noise_alone(task: GuidedTask) -> None:
    asked = task._item(task.instruments[0], 2, 20)
    assert asked["target"].shape == (512, 12)
    assert not asked["weight"][:64].any(), "what lies before a crop is not known"
    size = np.sqrt((asked["target"][64:, 1 : guide.SAID - 1] ** 2).mean(axis=0))
    np.testing.assert_allclose(size, 1, atol=0.25)
    assert not asked["target"][:, guide.SAID :].any()


def test_batches_are_a_function_of_the_seed(task: GuidedTask) -> None:
    one, two = (task.batch(np.random.default_rng(5), 6) for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert {k: tuple(v.shape) for k, v in one.items()} == {
        "target": (6, 512, 12), "source": (6, 512, 62), "told": (6, 4, 112), "weight": (6, 512, 12),
    }  # fmt: skip
    assert all(torch.isfinite(v).all() for v in one.values())


def test_it_learns_how_loud_noise_is(task: GuidedTask) -> None:
    torch.manual_seed(0)
    net = task.module()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    before = task.validate(net.eval())
    net.train()
    for step in range(100):
        loss = net(**task.batch(np.random.default_rng(step), 4))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = task.validate(net.eval())
    assert set(after) == {"instruments", "pitches", "loss"}
    assert after["loss"] < before["loss"] - 0.2


def test_what_a_network_hears_of_its_past_is_blurred_in_training_by_the_level_there() -> None:
    torch.manual_seed(0)
    net = Guided(CONFIG, past_share=0.1)
    heard: list[torch.Tensor] = []
    net.decoder.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    loud = torch.where(torch.arange(2 * CONFIG.steps) < CONFIG.steps, 0.01, 0.5)[None, :, None] * torch.ones(2, 1, 12)
    rest = (torch.zeros(2, 2 * CONFIG.steps, 62), torch.zeros(2, 2, CONFIG.conditions), torch.ones_like(loud))
    net(loud, *rest)
    net.eval()(loud, *rest)
    off = (heard[0] - heard[1]).std(dim=(0, 2)) / (1 + 0.5 * loud[0, :, 0]) * (1 + loud[0, :, 0]) ** 1.5
    assert not torch.equal(heard[0], companded(loud)) and torch.equal(heard[1], companded(loud))
    assert float(off[: CONFIG.steps - 40].mean()) == pytest.approx(0.001, rel=0.1)
    assert float(off[CONFIG.steps + 40 :].mean()) == pytest.approx(0.05, rel=0.1)


def test_the_loss_is_the_likelihood_of_levels_that_are_drawn() -> None:
    """Of what a network draws itself, it thinks as a normal distribution must: 1/2 + the log deviation."""
    torch.manual_seed(0)
    net = Guided(CONFIG).eval()
    source, told = torch.randn(2, 2 * CONFIG.steps, 62), torch.randn(2, 2, CONFIG.conditions)
    target = torch.randn(2, 2 * CONFIG.steps, 12)
    with torch.no_grad():
        said = net.decoder(companded(target), source, told)
        drawn = level(said, torch.randn_like(target), torch.tensor(1.0))
        z = ((drawn - said[..., 0]) * torch.exp(-said[..., 1])).numpy()
        assert abs(float(np.mean(z**2)) - 1) < 0.05
        # The loss hears its own target as the past, so only that of a network deaf to it can be foretold.
        for p in net.parameters():
            p.zero_()
        loss = float(net(target, source, told, torch.ones_like(target))["loss"])
    size = np.abs(target.numpy())
    cost = np.where(size < 4, 0.5 * size**2, 4 * size - 8)
    assert loss == pytest.approx(float(cost.mean()), rel=1e-5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    from nsynth_instrument.training.wavenet_export import contents

    torch.manual_seed(0)
    files = contents(Guided(CONFIG).state_dict(), CONFIG)
    assert set(files) == {"weights.safetensors", "condition.onnx", "step.onnx"}
    return bundle.write(
        tmp_path_factory.mktemp("models") / "led", files, name="led", kind="wavenet", rate=RATE, hop=CONFIG.hop, dims=16,
        licence="MIT", sources=("none",), network=CONFIG.to_dict(), training={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def codecs(model: Bundle) -> dict[str, GuidedCodec]:
    return {r: open_codec(model, r, device="cpu", threads=1, precision="float32") for r in RUNTIMES}  # type: ignore[misc]


def request(batch: int = 3, frames: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    steps = frames * CONFIG.steps
    return {
        "codes": rng.normal(size=(batch, frames, CONFIG.dims)).astype(np.float32),
        "pitch": rng.integers(21, 109, batch),
        "velocity": rng.integers(1, 128, batch),
        "noise": rng.standard_normal((batch, steps, CONFIG.bands), dtype=np.float32),
        "source": rng.normal(size=(batch, steps, CONFIG.source)).astype(np.float32),
    }


@pytest.mark.parametrize("forced", [True, False])
def test_levels_agree(codecs: dict[str, GuidedCodec], forced: bool) -> None:
    asked = request()
    past = np.random.default_rng(2).normal(0, 3, asked["noise"].shape).astype(np.float32) if forced else None
    drawn = {r: c.network.decode(**asked, follow=past, temperature=0.8) for r, c in codecs.items()}
    for r in RUNTIMES:
        assert (drawn[r].dtype, drawn[r].shape) == (np.float32, (3, 256, 12))
        np.testing.assert_allclose(drawn[r], drawn["kernel"], atol=1e-4)
    assert np.std(drawn["kernel"]) > 0.3


def test_the_kernel_gives_each_note_its_own_source(model: Bundle) -> None:
    from safetensors.numpy import load_file

    kernel, asked = WaveNetKernel(load_file(model.path("weights.safetensors")), CONFIG, threads=2), request(batch=70)
    together = kernel.decode(**asked)
    np.testing.assert_array_equal(together[40:41], kernel.decode(**{k: v[40:41] for k, v in asked.items()}))


def test_a_note_is_in_tune_and_does_not_depend_on_its_batch(codecs: dict[str, GuidedCodec], model: Bundle) -> None:
    bank = read_bank(model)
    notes = [Note(60, 100), Note(67, 80)]
    codes = [bank["flute"].at(n)[:60] for n in notes]
    made = codecs["kernel"].decode(codes, notes, seed=3, temperature=0)
    for one, n in zip(made, notes, strict=True):
        assert len(one) == 60 * CONFIG.hop
        assert abs(cents_off(one, RATE, n.pitch)) < 3
    np.testing.assert_array_equal(codecs["kernel"].decode(codes[1:], notes[1:], seed=3, temperature=0)[0], made[1])
    again = codecs["kernel"].encode(made[:1], notes[:1])[0]
    assert again.shape == (60, 16)


def test_positions_of_a_morph_are_a_quarter_turn_apart(codecs: dict[str, GuidedCodec], model: Bundle) -> None:
    note, bank = Note(60, 100), read_bank(model)
    codes = [bank[name].at(note)[:60] for name in ("flute", "bass")]
    ends = {(k, 0): Mixed(c, (), None) for k, c in enumerate(codes)}
    among = [Among((k, 0), ends, {}) for k in range(2)]

    def likeness(a: np.ndarray, b: np.ndarray) -> float:
        return abs(float(a @ b)) / float(np.linalg.norm(a) * np.linalg.norm(b))

    same = [codes[0]] * 2
    apart = codecs["kernel"].decode(same, [note] * 2, temperature=0, among=among)
    assert likeness(*apart) < 0.1 < 0.99 < likeness(*codecs["kernel"].decode(same, [note] * 2, temperature=0))
    np.testing.assert_array_equal(codecs["kernel"].decode(same[:1], [note], temperature=0, among=among[1:])[0], apart[1])


def test_its_bank_and_its_name_in_a_pack_are_of_its_guide(model: Bundle) -> None:
    assert set(read_bank(model).instruments) == set(read_bank(bundle.find("harmonic")).instruments)
    alone = replace(model, network={**model.network, "guide": ""})
    assert alone.fingerprint != model.fingerprint
    with pytest.raises(UnknownName):
        replace(model, network={**model.network, "guide": "nobody"}).guide()
    with pytest.raises(BundleError, match="another guide"):
        open_codec(replace(model, network={**model.network, "source": 61}))


@pytest.mark.parametrize("values", [{"head": "words"}, {"guide": "harmonic"}, {"source": 3}])
def test_an_impossible_guide_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        WaveNetConfig.of(values)


def test_levels_are_heard_as_training_hears_them() -> None:
    x = torch.tensor([-50.0, -1, 0, 0.5, 8])
    torch.testing.assert_close(heard(x, CONFIG), companded(x))
    assert float(level(torch.tensor([2.0, 90.0]), torch.tensor(0.0), torch.tensor(1.0))) == 2


def test_a_piece_of_a_file(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-0.5, 0.5, 1000).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", x, 48000, subtype="FLOAT")
    np.testing.assert_array_equal(sound.piece(tmp_path / "x.wav", 100, 200, rate=48000), x[100:300])
    np.testing.assert_array_equal(sound.piece(tmp_path / "x.wav", -50, 100, rate=48000), np.pad(x[:50], (50, 0)))
    np.testing.assert_array_equal(sound.piece(tmp_path / "x.wav", 950, 100, rate=48000), np.pad(x[950:], (0, 50)))
    assert not sound.piece(tmp_path / "x.wav", 2000, 10, rate=48000).any()
    half = sound.piece(tmp_path / "x.wav", 0, 500, rate=24000)
    np.testing.assert_array_equal(half, sound.resample(x, 48000, 24000))
