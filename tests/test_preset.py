"""Plans and their TOML: there and back, and refused in words when they say what cannot be."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsynth_instrument import bundle, preset
from nsynth_instrument.bank import InstrumentBank
from nsynth_instrument.codes import Morph
from nsynth_instrument.errors import DataError, NsynthError, UnknownName, UsageError
from nsynth_instrument.notes import KEYBOARD, NoteGrid
from nsynth_instrument.preset import RenderPlan

PLAN = RenderPlan("flute-bass", Morph.between("flute", "bass", 0.5), KEYBOARD)
CORNERS = Morph.corners("a", "b", "c", "d", 0.5, 0.5)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789- _", min_size=1, max_size=12).map(lambda s: "x" + s)
MORPHS = st.dictionaries(NAMES, st.floats(0.01, 1), min_size=1, max_size=4).map(
    lambda weights: Morph.of({n: w / sum(weights.values()) for n, w in weights.items()})
)
GRIDS = st.one_of(
    st.builds(lambda p: NoteGrid(tuple(sorted(p))), st.sets(st.integers(0, 127), min_size=1, max_size=20)),
    st.builds(lambda a, n, k: NoteGrid(tuple(range(a, a + n * k, k))), st.integers(0, 40), st.integers(1, 20), st.integers(1, 4)),
)
PLANS = st.builds(
    RenderPlan,
    name=NAMES,
    morph=MORPHS,
    grid=GRIDS,
    model=NAMES,
    seconds=st.floats(1.5, 30),
    rate=st.integers(8000, 192000),
    bits=st.sampled_from(preset.BITS),
    seed=st.integers(0, 2**32 - 1),
    temperature=st.floats(0, 2),
    loops=st.booleans(),
    formats=st.sampled_from([("sfz",), ("sfz", "sf2")]),
)


@given(PLANS)
def test_a_plan_comes_back_from_its_toml(plan: RenderPlan) -> None:
    again = RenderPlan.from_toml(plan.to_toml())
    assert dataclasses.replace(again, morph=plan.morph) == plan
    assert dict(again.morph.weights) == pytest.approx(dict(plan.morph.weights))
    if abs(sum(w for _, w in plan.morph.weights) - 1) < 1e-9:
        assert again == plan


def test_a_range_of_keys_stays_readable() -> None:
    for text in ("21-108", "60", "21-108/3", "0-127"):
        plan = dataclasses.replace(PLAN, grid=NoteGrid.parse(text))
        assert plan.to_dict()["grid"]["keys"] == text
    assert dataclasses.replace(PLAN, grid=NoteGrid((1, 2, 4))).to_dict()["grid"]["keys"] == [1, 2, 4]


def test_a_morph_is_enough_and_weights_count_in_proportion() -> None:
    plan = RenderPlan.from_toml("[morph]\nflute = 1\nbass = 3\n", name="here")
    assert plan == RenderPlan("here", Morph.of({"flute": 0.25, "bass": 0.75}), KEYBOARD)


CHANGES = {
    "morph": Morph.between("flute", "bass", 0.4),
    "grid": NoteGrid((60,)),
    "seconds": 3.0,
    "rate": 44100,
    "bits": 16,
    "seed": 1,
    "temperature": 0.5,
    "loops": False,
    "steps": 3,
    "interpolation": "spherical",
}


def test_the_fingerprint_follows_what_is_heard() -> None:
    seen = {PLAN.fingerprint("model"), PLAN.fingerprint("other model")}
    seen |= {dataclasses.replace(PLAN, **{k: v}).fingerprint("model") for k, v in CHANGES.items()}
    assert len(seen) == 2 + len(CHANGES)


def test_and_nothing_else() -> None:
    same = [
        dataclasses.replace(PLAN, name="other"),
        dataclasses.replace(PLAN, formats=("sfz", "sf2")),
        dataclasses.replace(PLAN, seconds=4),
        dataclasses.replace(PLAN, morph=Morph.of({"bass": 0.5, "flute": 0.5})),
        dataclasses.replace(PLAN, morph=Morph.of({"bass": 0.5, "flute": 0.5, "oboe": 0.0})),
    ]
    assert {p.fingerprint("model") for p in same} == {PLAN.fingerprint("model")}


def test_every_field_is_heard_or_is_known_not_to_be() -> None:
    fields = {f.name for f in dataclasses.fields(RenderPlan)}
    known = {"name", "formats", "model", "weighting"}
    assert fields == CHANGES.keys() | known, "the model has a fingerprint, and what weighting does is in the places"
    square = dataclasses.replace(PLAN, morph=CORNERS, steps=4)
    assert square.fingerprint("model") != dataclasses.replace(square, weighting="distance").fingerprint("model")


def test_steps_lead_from_the_first_sound_to_the_second() -> None:
    plan = RenderPlan.from_toml("steps = 5\n[morph]\nflute = 1\nbass = 3\n", name="here")
    assert [at for at, _ in plan.places] == [(0.0,), (0.25,), (0.5,), (0.75,), (1.0,)]
    assert [dict(m.weights)["bass"] for _, m in plan.places] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert plan.count == 5 * len(KEYBOARD)
    assert PLAN.places == (((0.0,), PLAN.morph),)


def test_four_sounds_make_a_square_by_either_weighting() -> None:
    """The second as in NSynth Super's utils.get_weights: at (1/2, 0) the lower corners have nothing, at 1/4 less than linear."""
    plan = dataclasses.replace(PLAN, morph=CORNERS, steps=5)
    far = dataclasses.replace(plan, weighting="distance")
    assert [at for at, _ in plan.places][:6] == [(0, 0), (0.25, 0), (0.5, 0), (0.75, 0), (1, 0), (0, 0.25)]
    for p in (plan, far):
        mixed = {at: dict(m.weights) for at, m in p.places}
        assert len(mixed) == 25
        for name, corner in zip("abcd", ((0, 0), (1, 0), (0, 1), (1, 1)), strict=True):
            assert mixed[corner][name] == 1.0
        assert mixed[0.5, 0.5] == pytest.approx(dict.fromkeys("abcd", 0.25))
        assert mixed[0.5, 0.0] == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.0})
    assert dict(plan.places)[0.25, 0.25].weights[0][1] == pytest.approx(0.5625)
    near, side = 1 - 2**0.5 / 4, 1 - 10**0.5 / 4
    whole = near + 2 * side
    here = dict(dict(far.places)[0.25, 0.25].weights)
    assert here == pytest.approx({"a": near / whole, "b": side / whole, "c": side / whole, "d": 0.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seconds": 1.0}, "1.5 to 30"),
        ({"seconds": 31.0}, "1.5 to 30"),
        ({"seconds": float("nan")}, "1.5 to 30"),
        ({"rate": 1}, "8000 to 192000"),
        ({"bits": 8}, "16, 24 or 32"),
        ({"temperature": -0.1}, "out of range"),
        ({"temperature": 3.0}, "out of range"),
        ({"seed": -1}, "seed"),
        ({"formats": ()}, "sfz is one"),
        ({"steps": 0}, "1 to 127"),
        ({"steps": 128}, "1 to 127"),
        ({"steps": 12, "morph": CORNERS}, "1 to 11 between 4"),
        ({"steps": 2, "morph": Morph.of({"a": 0.4, "b": 0.3, "c": 0.3})}, "names 3"),
        ({"weighting": "none"}, "bilinear or distance"),
        ({"name": ""}, "called"),
        ({"name": "../x"}, "called"),
        ({"name": "a/b"}, "called"),
        ({"name": "a\\b"}, "called"),
        ({"name": ".x"}, "called"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        dataclasses.replace(PLAN, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names at least one sound"),
        ("[morph]", "names at least one sound"),
        ("[morph]\na = 0", "names at least one sound"),
        ("[morph]\na = 1\nb = -1", "names at least one sound"),
        ("[morph]\na = inf", "names at least one sound"),
        ("[morph]\na = nan", "names at least one sound"),
        ("[morph]\na = [1, 0]\nb = [0, 1, 2]", "different lengths"),
        ("[morph]\na = []", "different lengths"),
        ("[morph]\na = [1, true]", "no number"),
        ("[morph]\na = [1, 0]", "names at least one sound"),
        ("[morph]\na = [1, -1]\nb = 2", "names at least one sound"),
        ('interpolation = "cubic"\n[morph]\na = 1', "linear or spherical"),
        ('[morph]\na = "much"', r"x.toml, \[morph\]: a cannot be 'much'"),
        ("[morph]\na = true", "cannot be True"),
        ("morph = 1", "morph cannot be 1"),
        ("secnds = 4\n[morph]\na = 1", "no setting 'secnds'; did you mean seconds"),
        ("zzz = 4\n[morph]\na = 1", "no setting 'zzz'; there are: name"),
        ('seconds = "4"\n[morph]\na = 1', "seconds cannot be '4'"),
        ("seconds = 400\n[morph]\na = 1", "x.toml: notes of 400 s"),
        ("seed = true\n[morph]\na = 1", "seed cannot be True"),
        ("loops = 1\n[morph]\na = 1", "loops cannot be 1"),
        ("rate = 48000.5\n[morph]\na = 1", "rate cannot be"),
        ("formats = [1]\n[morph]\na = 1", "formats are names"),
        ("[morph]\na = 1\n[grid]\nkeys = 60", "keys cannot be 60"),
        ("[morph]\na = 1\n[grid]\nkeys = [true]", "whole numbers"),
        ("[morph]\na = 1\n[grid]\nkeys = [60, 59]", "ascend"),
        ('[morph]\na = 1\n[grid]\nkeys = "9-1"', "impossible"),
        ('[morph]\na = 1\n[grid]\nvelocities = ["loud"]', "whole numbers"),
        ("[morph]\na = 1\n[grid]\nvelocities = []", "at least one"),
        ("[morph", "x.toml is not TOML"),
        pytest.param("seed = " + "1" * 5000, "x.toml is not TOML", id="long"),
        pytest.param("seed = " + "[" * 100_000, "x.toml is not TOML", id="deep"),
        (f"seconds = 1{'0' * 400}\n[morph]\na = 1", "x.toml has a number that is too large"),
        (f"[morph]\na = 1{'0' * 400}", "x.toml has a number that is too large"),
        ('name = "a\\u0000b"\n[morph]\na = 1', "cannot be called"),
        ('name = "a\\nb"\n[morph]\na = 1', "cannot be called"),
    ],
)
def test_hostile_toml_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        RenderPlan.from_toml(text, name="x", where="x.toml")


def test_a_preset_is_a_name_or_a_file(tmp_path: Path) -> None:
    assert preset.load("flute-bass").name == "flute-bass"
    file = tmp_path / "mine.toml"
    file.write_text("[morph]\nflute = 1\n")
    assert preset.load(str(file)).name == "mine"
    with pytest.raises(UnknownName, match="did you mean flute-bass"):
        preset.load("flute-bas")
    with pytest.raises(NsynthError, match="there is no file"):
        preset.load(str(tmp_path / "none.toml"))
    with pytest.raises(NsynthError, match="cannot be read"):
        preset.load(str(tmp_path))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not text"):
        preset.load(str(file))


def test_a_dozen_presets_are_shipped_and_all_load() -> None:
    assert len(preset.shipped()) >= 12
    for name in preset.shipped():
        plan = preset.load(name)
        assert plan.name == name
        assert len(plan.morph.names) >= 2


def test_presets_name_instruments_of_the_models_that_are_shipped() -> None:
    data = Path(bundle.__file__).parent / "data"
    for name in preset.shipped():
        plan = preset.load(name)
        model = bundle.read(data / plan.model)
        known = InstrumentBank.read(model.path("bank.safetensors")).instruments
        assert set(plan.morph.names) <= set(known), name
