"""The classifier: what it hears, that it learns, and that the shipped one knows a key when it hears one."""

from collections.abc import Iterator
from pathlib import Path

import nsynthset
import numpy as np
import pytest
from tones import tone

torch = pytest.importorskip("torch")

from nsynth_instrument.errors import BundleError  # noqa: E402
from nsynth_instrument.evaluate.judges import CLASSIFIER, ClassifierJudge  # noqa: E402
from nsynth_instrument.nets.classifier import RATE, SAMPLES, ClassifierConfig, spectrograms  # noqa: E402
from nsynth_instrument.runtimes import open_codec  # noqa: E402
from nsynth_instrument.training import plan  # noqa: E402
from nsynth_instrument.training.classifier import ClassifierRecipe, _moved  # noqa: E402
from nsynth_instrument.training.export import export  # noqa: E402
from nsynth_instrument.training.loop import Run, Schedule  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose their time in handing work from thread to thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def sound(pitch: float, **options: float) -> np.ndarray:
    return tone(pitch, hold=3.0, release=0.3, after=0.7, rate=RATE, **options)[:SAMPLES]


def test_level_does_not_count_and_a_tone_is_where_it_sounds() -> None:
    one = torch.from_numpy(sound(69))[None]
    long, short = spectrograms(one)
    assert long.shape == (1, SAMPLES // 2048 + 1, 2049)
    assert short.shape == (1, SAMPLES // 2048 + 1, 8 * 32)
    for a, b in zip(spectrograms(0.03 * one), (long, short), strict=True):
        assert torch.allclose(a, b, atol=1e-3)
    assert abs(int(long[0, 10, :200].argmax()) * RATE / 4096 - 440) < 4
    assert float(long.max()) == pytest.approx(1, abs=1e-3)
    assert float(long.min()) >= -1


def test_a_spectrum_is_moved_by_a_factor() -> None:
    long, _ = spectrograms(torch.from_numpy(np.stack([sound(60), sound(60)])))
    moved = _moved(long, torch.tensor([2 ** (2 / 12), 1.0]))
    up, _ = spectrograms(torch.from_numpy(sound(62))[None])
    assert abs(int(moved[0, 12, :400].argmax()) - int(up[0, 12, :400].argmax())) <= 1
    assert torch.allclose(moved[1], long[1], atol=1e-5)


def test_it_learns_keys_and_decay_and_is_exported_whole(tmp_path: Path) -> None:
    instruments = {"train": [("organ_a", 6), ("guitar_b", 3), ("organ_c", 6), ("guitar_d", 3)], "valid": [("organ_e", 6), ("guitar_f", 3)]}
    data = nsynthset.make(tmp_path / "set", splits=instruments, pitches=range(57, 69, 2))
    (tmp_path / "small.toml").write_text(
        'kind = "classifier"\n[network]\nbins = 400\nwidth = 32\nembedding = 24\ndilations = [1]\ndrop = 0.0\n'
        "[recipe]\nshift = 0\ndetune = 3.0\ncurve = 1.0\n[schedule]\nrate = 3e-3\nwarmup = 5\nbatch = 12\naverage = 0.8\n"
    )
    chosen = plan.load(str(tmp_path / "small.toml"))
    task, schedule, about = plan.prepare(chosen, data, tmp_path / "cache", lambda name, notes: None)
    plan.remember(tmp_path / "run", chosen, about)
    batch = task.batch(np.random.default_rng(0), 4)
    assert torch.equal(batch["audio"], task.batch(np.random.default_rng(0), 4)["audio"]), "a batch is drawn from its rng alone"
    run = Run(tmp_path / "run", task, schedule)
    before = task.validate(run.averaged())
    for step in range(140):
        run._learn(task.batch(np.random.default_rng(step), schedule.batch), 1.0)
    after = task.validate(run.averaged())
    assert before["pitch_right"] < 0.4
    assert after["pitch_right"] > 0.8
    assert after["quality_right"] > 0.97, "always no gives 0.95"
    list(run.train(1e-6))
    judge = ClassifierJudge(export(tmp_path / "run", tmp_path / "judge", licence="MIT").folder)
    heard = judge.hear([sound(p, decay=d) for p in (57, 63, 67) for d in (0.0, 12.0)])
    assert heard.timbre.shape == (6, 24)
    with torch.no_grad():
        net = run.averaged().net
        keys, _, last = net(*spectrograms(torch.from_numpy(np.stack([sound(57)])), net.config.bands))
    assert np.abs(heard.timbre[0] - last[0].numpy()).max() < 0.01, "float16 weights, the same network"
    assert heard.pitch[0] == int(keys.argmax())


def test_a_classifier_is_no_voice(tmp_path: Path) -> None:
    from nsynth_instrument import bundle

    with pytest.raises(BundleError, match="judges sounds and makes none"):
        open_codec(bundle.read(CLASSIFIER))


def test_the_shipped_plan_is_the_shipped_judge() -> None:
    from nsynth_instrument import bundle

    shipped = bundle.read(CLASSIFIER)
    assert ClassifierConfig.from_dict(dict(shipped.network)) == ClassifierConfig(**plan.load("classifier").network)
    assert ClassifierRecipe(**plan.load("classifier").recipe) == ClassifierRecipe()
    assert Schedule(**plan.load("classifier").schedule | {"betas": (0.9, 0.98)}).batch == 32
    assert sum((CLASSIFIER / f).stat().st_size for f in shipped.files) < 3e6


def test_the_shipped_judge_hears_keys_and_plain_qualities() -> None:
    judge = ClassifierJudge()
    keys = list(range(33, 97, 3))
    held = judge.hear([sound(p) for p in keys])
    assert np.mean(held.pitch == keys) > 0.9
    fast_decay = 3
    assert not held.qualities[:, fast_decay].any()
    fallen = judge.hear([sound(p, decay=15.0) for p in keys])
    assert fallen.qualities[:, fast_decay].mean() > 0.8
