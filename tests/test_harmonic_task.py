"""What the harmonic voice is asked to learn: pairs of notes, blended and altered."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nsynthset import make  # noqa: E402

from nsynth_instrument.dsp.partials import ATTACK, Partials  # noqa: E402
from nsynth_instrument.nets.harmonic import HarmonicConfig  # noqa: E402
from nsynth_instrument.training import features  # noqa: E402
from nsynth_instrument.training.alteration import Alteration, blend, crossed, stilled  # noqa: E402
from nsynth_instrument.training.harmonic import CROP, HarmonicTask, Recipe  # noqa: E402
from nsynth_instrument.training.strange import Strange  # noqa: E402

SMALL = HarmonicConfig(encoder=32, encoder_dilations=(1,), slow=32, slow_dilations=(1,), fast=32, fast_dilations=(1,))


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> list[features.Analysed]:
    folder = tmp_path_factory.mktemp("voice")
    data = make(
        folder / "set", splits={"train": [("one", 2), ("two", 3)], "valid": [("three", 2)]}, pitches=range(57, 82, 6), rate=48000
    )
    assert dict(features.build(features.rows(data), folder / "features", workers=1)) == {"one": 5, "two": 5, "three": 5}
    return features.load(folder / "features")


def test_a_batch_depends_on_its_seed_alone_and_its_loss_is_finite(analysed: list[features.Analysed]) -> None:
    task = HarmonicTask(analysed, SMALL, Recipe(blend=0.5, strange=0.5, still=0.3, held_pitches=(69,)))
    assert [i.name for i in task.held_out] == ["three"]
    once, again, other = (task.batch(np.random.default_rng(seed), 6) for seed in (3, 3, 4))
    assert all(torch.equal(once[k], again[k]) for k in once)
    assert not torch.equal(once["level"], other["level"])
    figures = task.module()(**once)
    assert all(bool(torch.isfinite(v)) for v in figures.values())
    assert set(task.validate(task.module().eval())) >= {"loss", "instruments/level", "octave/level", "strange/level", "pitches/attack"}


def test_held_out_pitches_are_never_asked_for(analysed: list[features.Analysed]) -> None:
    task = HarmonicTask(analysed, SMALL, Recipe(jitter=0.0, held_pitches=(69,)))
    asked = {float(f) for f in task.batch(np.random.default_rng(0), 64)["f0"]}
    assert 1 < len(asked) <= 8, "two instruments of five keys, one of which is held out"
    assert not any(435 < f < 445 for f in asked)


def test_a_blend_has_the_power_of_both_and_lies_where_the_louder_does(analysed: list[features.Analysed]) -> None:
    one, two = (next(i for i in analysed if i.name == name).note(0, 0, CROP) for name in ("one", "two"))
    both = blend(one, two, 6.0)
    heard = (one.level > -100) & (two.level > -100)
    power = 10 ** (one.level / 10) + 10 ** ((two.level + 6) / 10)
    assert np.allclose(10 ** (both.level / 10)[heard], power[heard], rtol=1e-3)
    assert np.array_equal(both.offset, np.where(two.level + 6 > one.level, two.offset, one.offset))


def test_a_crossed_note_is_as_loud_as_the_other_in_its_own_colour(analysed: list[features.Analysed]) -> None:
    one, two = (next(i for i in analysed if i.name == name).note(0, 0, CROP) for name in ("one", "two"))
    both = crossed(one, two)
    power = [(10 ** (n.level[40:] / 10)).sum(axis=1) for n in (both, two)]
    assert np.allclose(10 * np.log10(power[0] / power[1]), 0, atol=0.1)
    moved = (both.level - one.level)[40:]
    loud = one.level[40:] > -80
    assert np.allclose(moved[loud], np.broadcast_to(moved[:, :1], moved.shape)[loud], atol=0.01)


def test_a_strange_sound_is_altered_by_number_of_the_harmonic() -> None:
    tone = Partials(
        220.0, np.full((40, 192), -40, np.float32), np.zeros((40, 192), np.float32), np.full((40, 64), -100, np.float32),
        np.zeros(40, np.float32),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    gains = np.zeros(192, np.float32)
    gains[1::2] = -20
    odd = Strange(gains)(tone, 57, 0, rng)
    assert np.allclose(odd.level[:, 0:40:2], -40) and np.allclose(odd.level[:, 1:40:2], -60)
    bare = Strange(gains, bare=True, noise=-80)(tone, 57, 0, rng)
    assert np.allclose((10 ** (bare.level / 10)).sum(axis=1), (10 ** (tone.level / 10)).sum(axis=1), rtol=0.05)
    assert (bare.noise <= -170).all()
    stiff = Strange(np.zeros(192, np.float32), stretch=(1e-4, 0.0))(tone, 60, 0, rng)
    place = np.arange(1, 20) + stiff.offset[0, :19]
    apart = np.diff(place)
    assert (np.diff(apart) > 0).all() and place[18] - 19 > 0.2
    beating = Strange(np.zeros(192, np.float32), beat=(10.0, -3.0))(tone, 57, 0, rng)
    assert np.ptp(np.diff(beating.level[:, 7])) > np.ptp(np.diff(beating.level[:, 0]))


@pytest.mark.parametrize("seed", range(12))
def test_strange_sounds_are_sounds(seed: int, analysed: list[features.Analysed]) -> None:
    rng = np.random.default_rng(seed)
    note = analysed[0].note(0, 0, CROP)
    made = Strange.draw(rng)(note, 57, 0, rng)
    for name in ("level", "offset", "noise", "deviation"):
        new, old = getattr(made, name), getattr(note, name)
        assert new.dtype == np.float32 and new.shape == old.shape and np.isfinite(new).all()
    assert made.level.max() <= 0 and made.level.min() >= -130 and np.abs(made.offset).max() <= 0.5


def test_a_stilled_note_moves_no_more(analysed: list[features.Analysed]) -> None:
    note = stilled(analysed[0].note(0, 0, CROP))
    for moving in (note.level, note.offset, note.noise, note.deviation):
        assert not np.ptp(moving, axis=0).any()


def test_an_alteration_fades_by_the_clock_of_the_note(analysed: list[features.Analysed]) -> None:
    alter = Alteration(np.zeros(96, np.float32), gain=-3.0, floor=-300.0, decay=10.0)
    note = analysed[0].note(0, 100, 40)
    loud = note.level > -60
    lost = (alter(note, 100).level - note.level)[loud]
    seconds = np.broadcast_to((np.arange(40)[:, None] + 100) / 125, note.level.shape)[loud]
    assert np.allclose(lost, -3 - 10 * seconds, atol=0.01)


def test_what_another_version_kept_is_analysed_again(tmp_path: Path) -> None:
    data = make(tmp_path / "set", splits={"train": [("one", 2)]}, pitches=range(60, 62), rate=48000)
    rows, root = features.rows(data), tmp_path / "features"
    assert dict(features.build(rows, root, workers=1)) == {"one": 2}
    assert dict(features.build(rows, root, workers=1)) == {}
    about = root / "one" / "about.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "version": features.VERSION - 1}))
    assert features.load(root) == []
    assert dict(features.build(rows, root, workers=1)) == {"one": 2}
    assert len(features.load(root)[0].index) == 2


def test_attacks_are_kept_with_the_features(analysed: list[features.Analysed]) -> None:
    assert analysed[0].note(0, 0, CROP).attack.shape == (ATTACK,)
    assert analysed[0].note(0, 4, CROP).attack is None, "features that begin later have none"
