"""The WaveNet: the published shape, causality, generation equal to training, and that it learns a tone."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nsynth_instrument import audio as sound  # noqa: E402
from nsynth_instrument.dsp import mulaw  # noqa: E402
from nsynth_instrument.errors import BundleError, DataError, NsynthError, UnknownName  # noqa: E402
from nsynth_instrument.nets.wavenet import WaveNet, sample  # noqa: E402
from nsynth_instrument.nets.wavenet_config import GUIDED12, H512, WaveNetConfig  # noqa: E402
from nsynth_instrument.training import plan, recordings  # noqa: E402
from nsynth_instrument.training.features import rows  # noqa: E402
from nsynth_instrument.training.wavenet import WaveNetRecipe, WaveNetTask  # noqa: E402

TINY = WaveNetConfig(
    hop=32, bands=2, encoder_width=8, encoder_layers=4, encoder_stages=2, bound=3.0, width=8, skip=12, layers=4, stages=2, kernel=3,
    pitch="basis", velocity=True,
)  # fmt: skip

BANDS4 = replace(TINY, hop=512, bands=4, kernel=2)


@cache
def count(config: WaveNetConfig) -> dict[str, int]:
    with torch.device("meta"):
        net = WaveNet(config)
    return {k: sum(p.numel() for p in m.parameters()) for k, m in net.named_children()}


def test_h512_is_the_published_network() -> None:
    assert count(H512) == {"encoder": 1_976_336, "decoder": 59_827_712}
    assert sum(count(H512).values()) == 61_804_048


def test_the_receptive_field_is_the_published_one() -> None:
    # Two samples further back for each unit of dilation and for the first convolution, which hears the sample before.
    assert (H512.kernel - 1) * (sum(H512.dilations) + 1) + 1 == 6141


def test_shipped_plans_name_the_networks() -> None:
    assert WaveNetConfig.of(plan.load("wavenet-h512").network) == H512
    assert WaveNetConfig.of(plan.load("wavenet-guided").network) == GUIDED12
    assert WaveNetConfig.of(GUIDED12.to_dict()) == GUIDED12


@pytest.mark.parametrize("values", [{"hop": 0}, {"bands": 3}, {"pitch": "loud"}, {"layers": 2.5}, {"wings": 2}, {"stages": 30}])
def test_an_impossible_network_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        WaveNetConfig.of(values)


def inputs(config: WaveNetConfig, batch: int = 2, frames: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    steps = frames * config.steps
    pitch, velocity = rng.integers(30, 90, batch), rng.integers(1, 128, batch)
    codes = rng.normal(size=(batch, frames, config.dims)).astype(np.float32)
    return {
        "classes": rng.integers(0, 256, (batch, steps, config.bands)),
        "source": rng.normal(size=(batch, steps, config.source)).astype(np.float32),
        "conditions": config.conditioning(codes, pitch, velocity),
    }


def logits(net: WaveNet, given: dict[str, np.ndarray]) -> torch.Tensor:
    heard = torch.from_numpy(mulaw.companded(given["classes"]))
    with torch.no_grad():
        return net.decoder(heard, torch.from_numpy(given["source"]), torch.from_numpy(given["conditions"]))


@pytest.mark.parametrize("config", [TINY, replace(TINY, kernel=2, bands=1, pitch="none", velocity=False)])
def test_a_step_hears_nothing_of_itself_and_as_far_back_as_it_should(config: WaveNetConfig) -> None:
    torch.manual_seed(0)
    net = WaveNet(config).eval()
    given = inputs(config, batch=1)
    before = logits(net, given)
    at = 5
    given["classes"][0, at] = (given["classes"][0, at] + 128) % 256
    changed = (logits(net, given) - before).abs().amax(dim=(0, 2, 3)) > 0
    reach = (config.kernel - 1) * (sum(config.dilations) + 1) + 1
    assert not changed[: at + 1].any()
    assert changed[at + 1]
    assert changed[at + reach]
    assert not changed[at + reach + 1 :].any()


def test_generation_steps_give_the_logits_of_training() -> None:
    torch.manual_seed(0)
    net, given = WaveNet(TINY).eval(), inputs(TINY)
    whole = logits(net, given)
    heard = torch.nn.functional.pad(torch.from_numpy(mulaw.companded(given["classes"])), (0, 0, TINY.kernel, 0))
    history = [[torch.zeros(2, TINY.width)] * 2 * d for d in TINY.dilations]
    with torch.no_grad():
        folded = net.decoder.condition(torch.from_numpy(given["conditions"]))
        for t in range(whole.shape[1]):
            now = torch.cat([heard[:, t : t + TINY.kernel].flatten(1), torch.from_numpy(given["source"][:, t])], dim=1)
            past = [[h[-2 * d], h[-d]] for h, d in zip(history, TINY.dilations, strict=True)]
            out, kept = net.decoder.step(now, folded[:, t // TINY.steps], past)
            history = [[*h, k] for h, k in zip(history, kept, strict=True)]
            torch.testing.assert_close(out, whole[:, t], atol=1e-5, rtol=1e-5)


def test_the_encoder_answers_where_the_sound_is() -> None:
    torch.manual_seed(0)
    net = WaveNet(TINY).eval()
    signal = torch.zeros(1, 8 * TINY.steps, 2)
    with torch.no_grad():
        silent = net.encoder(signal)
        signal[:, 4 * TINY.steps : 5 * TINY.steps] = 0.5
        moved = (net.encoder(signal) - silent).abs().amax(dim=2)[0] > 1e-6
    assert silent.shape == (1, 8, 16)
    assert moved.tolist() == [False, False, False, True, True, True, False, False]
    assert net.encoder(100 * torch.randn(1, 32, 2)).abs().max() <= 3


def test_sampling_by_inverse_cdf_has_the_right_shares_and_never_leaves_the_classes() -> None:
    wanted = torch.tensor([0.5, 0.25, 0.0, 0.25])
    scores = torch.log(wanted.clamp(min=1e-30)).expand(1000, 4)
    drawn = sample(scores, torch.linspace(0, 0.9995, 1000), torch.tensor(1.0))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 1000, wanted, atol=2e-3)
    flat = sample(torch.randn(2000, 256), torch.full((2000,), np.nextafter(np.float32(1), np.float32(0))), torch.tensor(1.0))
    assert flat.max() <= 255
    assert int(sample(torch.eye(4)[2], torch.tensor(0.99), torch.tensor(1e-3))) == 2


@pytest.fixture
def kept(tones: Path, tmp_path: Path) -> list[recordings.Recorded]:
    assert dict(recordings.build(rows(tones), tmp_path, rate=16000, hop=512, workers=1)) == {"a": 8, "b": 8, "c": 8}
    return recordings.load(tmp_path)


def test_recordings_are_the_files(tones: Path, kept: list[recordings.Recorded]) -> None:
    first = kept[0]
    assert (first.name, first.about["split"], len(first.index)) == ("a", "train", 8)
    there, _ = sound.read(tones / "train" / "audio" / "a-057-100.wav")
    row = int(np.flatnonzero((first.index["pitch"] == 57) & (first.index["velocity"] == 100))[0])
    np.testing.assert_allclose(first.piece(row, 0, 8000), there, atol=5e-5)
    assert first.piece(row, 63990, 100).shape == (100,)
    assert first.level[row, 0] > first.level[row, 10] > first.level[row, 20] == 0


def test_batches_are_a_function_of_the_seed_and_pair_notes_of_one_instrument(kept: list[recordings.Recorded]) -> None:
    task = WaveNetTask(kept, BANDS4, WaveNetRecipe(frames=2))
    one, two = (task.batch(np.random.default_rng(5), 8) for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one)
    steps = 2 * BANDS4.steps
    assert one["target"].shape == (8, steps, 4)
    assert one["side"].shape == (8, BANDS4.conditions - 16)
    same = (one["heard"] == (one["target"].float() - 128) / 128).flatten(1).all(dim=1)
    assert 0 < same.sum() < 8, "half of the time the encoder hears another note"
    assert [i.name for i in task.held_out] == ["c"]
    assert all(46 not in i.index["pitch"][r] for i, r in zip(task.instruments, task.train_rows, strict=True))


def test_a_crop_is_the_same_wherever_its_bands_are_cut(kept: list[recordings.Recorded]) -> None:
    from nsynth_instrument.dsp import pqmf
    from nsynth_instrument.training.wavenet import _Item

    task = WaveNetTask(kept, BANDS4, WaveNetRecipe(frames=2))
    whole = mulaw.encode(pqmf.analysis(kept[0].piece(7, 0, 8192)[None], 4))[0]
    for first in (0, 3):
        cut = task._collate([_Item(kept[0], 7, 7, first)])["target"][0].numpy()
        assert np.abs(cut.astype(int) - whole[first * 128 : first * 128 + 256]).max() <= 1


def test_a_small_network_learns_tones(kept: list[recordings.Recorded]) -> None:
    torch.manual_seed(0)
    config = replace(BANDS4, width=16, skip=16)
    task = WaveNetTask(kept, config, WaveNetRecipe(frames=2, onsets=1.0))
    net = task.module()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    start = task.validate(net.eval())["loss"]
    net.train()
    for step in range(40):
        loss = net(**task.batch(np.random.default_rng(step), 4))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    figures = task.validate(net.eval())
    assert start > 5
    assert figures["loss"] < 3.5
    assert {"loss", "instruments", "pitches"} <= set(figures)


def test_train_and_export_as_commands(tones: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from nsynth_instrument import bundle
    from nsynth_instrument.notes import Note
    from nsynth_instrument.runtimes import open_codec
    from nsynth_instrument.training.commands import export, train

    (tmp_path / "tiny.toml").write_text(
        'kind = "wavenet"\n[network]\nbands = 4\nencoder_width = 8\nencoder_layers = 1\nwidth = 8\nskip = 8\nlayers = 2\nstages = 2\n'
        'kernel = 2\npitch = "basis"\n[recipe]\nframes = 2\n[schedule]\nbatch = 2\nprecision = "no"\n'
    )
    run = tmp_path / "run"
    asked = [str(tmp_path / "tiny.toml"), "--data", str(tones), "--run", str(run), "--minutes", "0.01", "--cache", str(tmp_path / "c")]
    done = CliRunner().invoke(train, asked, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.strip() == str(run)
    assert "valid: " in done.stderr
    with pytest.raises(DataError, match="another network"):
        CliRunner().invoke(train, ["wavenet-h512", *asked[1:]], catch_exceptions=False)
    out = tmp_path / "models" / "small"
    done = CliRunner().invoke(export, [str(run), "--out", str(out), "--licence", "MIT"], catch_exceptions=False)
    assert done.stdout.strip() == str(out)
    made = bundle.read(out)
    assert (made.kind, made.rate, made.hop, made.licence, made.sources) == ("wavenet", 16000, 512, "MIT", ("tones.sf2",))
    assert made.training["data"]["instruments"] == 2
    assert made.training["steps"] > 0
    graphs = list(out.glob("*.onnx"))
    assert graphs
    assert not any(b".py" in g.read_bytes() for g in graphs), "where the source lay is nobody's business"
    codec = open_codec(made)
    codes = codec.encode([np.zeros(1000, np.float32)], [Note(60)])
    assert codes[0].shape == (2, 16)
    heard = codec.decode(codes, [Note(60)])[0]
    assert heard.shape == (1024,)
    assert np.isfinite(heard).all()
    assert codec.detail([heard], [Note(60)], codes) is None


def test_faults_of_a_user_have_words(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="wavenet-guided"):
        plan.load("wavenet-guide")
    (tmp_path / "x.toml").write_text('kind = "drum"')
    with pytest.raises(DataError, match="not a training plan"):
        plan.load(str(tmp_path / "x.toml"))
    with pytest.raises(NsynthError, match="not a training run"):
        plan.recall(tmp_path)
    (tmp_path / "y.toml").write_text('kind = "wavenet"\n[recipe]\nfrmes = 3\n')
    with pytest.raises(DataError, match=r"examples\.json"):
        plan.prepare(plan.load(str(tmp_path / "y.toml")), tmp_path, tmp_path, lambda *_: None)
