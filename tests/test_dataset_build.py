import json
import multiprocessing
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from soundfonts import tone, write_small, write_soundfont

from nsynth_instrument.dataset import build as building
from nsynth_instrument.dataset.build import build
from nsynth_instrument.dataset.commands import dataset
from nsynth_instrument.dataset.nsynth import Dataset
from nsynth_instrument.dataset.plan import BuildPlan
from nsynth_instrument.errors import DataError, NsynthError, UnknownName, UsageError
from nsynth_instrument.notes import NoteGrid

GRID = NoteGrid((48, 60, 72), (40, 127))


@pytest.fixture(scope="module")
def font(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("font") / "small.sf2")


def plan(*fonts, **options):
    return BuildPlan(fonts, **{"grids": (GRID,), **options})


def run(out, wanted, **options):
    return list(build(out, wanted, **options))


def files(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def built(font, tmp_path_factory):
    out = tmp_path_factory.mktemp("set") / "out"
    return out, run(out, plan(font))


def test_the_format_is_nsynths(built):
    out, steps = built
    assert (steps[-1].done, steps[-1].total, steps[-1].notes) == (4, 4, 18)  # the flute is silent
    listed = {}
    for split in ("train", "valid", "test"):
        entries = json.loads((out / split / "examples.json").read_text())
        assert {f"{name}.wav" for name in entries} == {p.name for p in (out / split / "audio").iterdir()}
        listed |= {name: (split, e) for name, e in entries.items()}
    assert len(listed) == 18
    split, entry = listed["synth_lead_synthetic_001-060-127"]
    assert entry == {
        "note": entry["instrument"] << 14 | 60 << 7 | 127,
        "note_str": "synth_lead_synthetic_001-060-127",
        "instrument": 3,
        "instrument_str": "synth_lead_synthetic_001",
        "pitch": 60,
        "velocity": 127,
        "sample_rate": 16000,
        "qualities": entry["qualities"],
        "qualities_str": entry["qualities_str"],
        "instrument_family": 9,
        "instrument_family_str": "synth_lead",
        "instrument_source": 2,
        "instrument_source_str": "synthetic",
        "preset_name": "Saw Lead",
        "soundfont": "small.sf2",
        "bank": 8,
        "program": 80,
        "samples": [3],
    }
    with wave.open(str(out / split / "audio" / "synth_lead_synthetic_001-060-127.wav")) as f:
        assert f.getparams()[:4] == (1, 2, 16000, 64000)
    assert len({e["note"] for _, e in listed.values()}) == 18


def test_one_gain_for_an_instrument(built):
    out, _ = built
    data = Dataset.open(out)
    for places in data.instruments.values():
        peaks = {data[i].velocity: float(np.abs(data[i].audio()).max()) for i in places if data[i].pitch == 60}
        loudest = max(float(np.abs(data[i].audio()).max()) for i in places)
        assert loudest == pytest.approx(10 ** (-1 / 20), abs=1e-4)
        # SoundFont 2.04, 8.4.1: velocity to attenuation, concave: 40 log10(127 / velocity) dB
        assert 20 * np.log10(peaks[127] / peaks[40]) == pytest.approx(40 * np.log10(127 / 40), abs=0.5)


def test_what_is_finished_is_not_rendered_again(built, font, monkeypatch):
    out, _ = built

    def never(job, folder):
        raise AssertionError(job)

    monkeypatch.setattr(building, "render", never)
    before = files(out)
    assert [s.done for s in run(out, plan(font))] == [4]
    assert files(out) == before


def test_an_interrupted_build_goes_on_to_the_same_bytes(built, font, tmp_path):
    out = tmp_path / "out"
    steps = build(out, plan(font))
    next(steps), next(steps)
    steps.close()
    assert len(list((out / ".build").iterdir())) == 2
    assert sum(len(json.loads((out / s / "examples.json").read_text())) for s in ("train", "valid", "test")) == 6
    again = run(out, plan(font))
    assert (again[0].done, again[-1].done) == (1, 4)
    assert files(out) == files(built[0])


def test_workers_do_not_change_a_byte(built, font, tmp_path):
    assert run(tmp_path / "out", plan(font), workers=2)[-1].notes == 18
    assert files(tmp_path / "out") == files(built[0])
    assert not multiprocessing.active_children()


def test_a_fault_in_a_worker_is_told_and_what_was_finished_stays(tmp_path):
    font = write_soundfont(tmp_path / "a.sf2", [(0, p, f"P{p}", tone()) for p in (0, 40)])
    out = tmp_path / "out"
    (out / ".build").mkdir(parents=True)
    steps = build(out, plan(font), workers=2)
    next(steps)
    font.write_bytes(b"gone")
    with pytest.raises(NsynthError, match="cut off"):
        list(steps)
    assert json.loads((out / "train" / "examples.json").read_text()) == {}


@pytest.mark.parametrize(
    "other", [{"rate": 48000}, {"seed": 1}, {"grids": (NoteGrid((48,)),)}, {"only": ("0-7",)}, {"valid": 10}, {"drums": True}]
)
def test_other_options_for_a_begun_set_are_an_error(built, font, other):
    (option,) = other
    words = {"grids": "--pitches", "only": "--instruments", "valid": "--split"}.get(option, f"--{option}")
    with pytest.raises(UsageError, match=f"begun with other options.*{words}"):
        run(built[0], plan(font, **other))


def test_another_soundfont_of_the_name_is_an_error(built, tmp_path):
    other = write_soundfont(tmp_path / "small.sf2", [(0, 0, "Else", tone())])
    with pytest.raises(UsageError, match="--soundfont differ"):
        run(built[0], plan(other))


def test_a_set_of_others_is_left_alone(font, tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(UsageError, match="not built here"):
        run(tmp_path, plan(font))
    assert not any((tmp_path / "train").iterdir())


def test_damaged_notes_of_a_build_are_told(built, font, tmp_path):
    out = tmp_path / "out"
    run(out, plan(font, only=("80",)))
    part = next(p for p in (out / ".build").iterdir() if p.name != "plan.json")
    part.write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        run(out, plan(font, only=("80",)))
    part.write_text('{"x": 1}')
    with pytest.raises(DataError, match="delete this file"):
        run(out, plan(font, only=("80",)))


def full_font(path):
    return write_soundfont(path, [(b, p, f"{b} {p}", tone()) for b in (0, 8) for p in range(120)])


def test_instruments_stay_whole_and_where_they_are(tmp_path):
    fonts = [full_font(tmp_path / f"{n}.sf2") for n in ("one", "two")]
    alone, both = plan(fonts[0]).jobs(), plan(*fonts).jobs()
    assert set(alone) == {j for j in both if j.soundfont == fonts[0]}  # names, numbers and splits of the first stay
    assert set(plan(fonts[0], only=("40-47",)).jobs()) == {j for j in alone if 40 <= j.preset.program <= 47}
    assert len({j.name for j in both}) == len({j.number for j in both}) == 480
    splits = {}
    for job in both:
        splits.setdefault(job.preset.program, set()).add(job.split)
    assert all(len(s) == 1 for s in splits.values())  # variations of a program share samples
    assert all(sum(j.split == s for j in both) >= 12 for s in ("valid", "test"))
    assert plan(*fonts, seed=1).jobs() != both
    assert {j.split for j in plan(*fonts, valid=0, test=0).jobs()} == {"train"}


def test_the_order_mixes_soundfonts_and_families(tmp_path):
    fonts = [full_font(tmp_path / f"{n}.sf2") for n in ("one", "two")]
    first = plan(*fonts).jobs()[:8]
    assert [(j.preset.program, j.soundfont.stem) for j in first] == [(p, n) for p in (0, 64, 32, 96) for n in ("one", "two")]


def test_what_is_held_out_is_in_test_only(tmp_path):
    font = full_font(tmp_path / "one.sf2")
    jobs = plan(font, test=0, hold_out=("flute", "8 4?", "3")).jobs()
    named = {f"8 {p}" for p in range(40, 50)} | {"0 3", "8 3"}
    held = {j for j in jobs if j.family == "flute" or j.preset.name in named}
    assert {j for j in jobs if j.split == "test"} == held


def test_drums_and_effects_only_when_asked_for(font):
    def names(**options):
        return [j.preset.name for j in plan(font, **options).jobs()]

    assert names() == ["Soft Piano", "Sine Lead", "Mute Flute", "Saw Lead"]
    assert "Kit" in names(drums=True) and "Sea" in names(effects=True)
    assert plan(font, drums=True, effects=True).jobs()[0].number == plan(font).jobs()[0].number


def test_each_soundfont_has_its_own_grid_when_given(font, tmp_path):
    other = write_soundfont(tmp_path / "b.sf2", [(0, 0, "B", tone())])
    jobs = plan(font, other, grids=(NoteGrid((60,)), NoteGrid((61,)))).jobs()
    assert {(j.soundfont.name, j.grid.pitches) for j in jobs} == {("small.sf2", (60,)), ("b.sf2", (61,))}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 44100}, "16000 or 48000"),
        ({"grids": (GRID, GRID)}, "once for each"),
        ({"valid": 60, "test": 40}, "too little"),
        ({"valid": -1}, "too little"),
    ],
)
def test_impossible_options(font, options, words):
    with pytest.raises(UsageError, match=words):
        plan(font, **options)


def test_wishes_that_nothing_fits(font, tmp_path):
    with pytest.raises(UnknownName, match="did you mean flute"):
        plan(font, only=("flut",)).jobs()
    with pytest.raises(DataError, match="no preset is left"):
        plan(font, only=("Kit",)).jobs()
    with pytest.raises(UsageError, match="0 workers"):
        run(tmp_path, plan(font), workers=0)
    with pytest.raises(UsageError, match="same file name"):
        plan(font, Path("elsewhere") / font.name)
    with pytest.raises(UsageError, match="needs a soundfont"):
        plan()


def test_commands(font, tmp_path):
    out = tmp_path / "out"
    words = ["build", str(out), "--soundfont", str(font), "--pitches", "60", "--velocities", "100", "--tfrecord"]
    done = CliRunner().invoke(dataset, words, catch_exceptions=False)
    assert done.stdout == f"{out}: 4 instruments, 3 notes\n"
    assert "nsynth-train.tfrecord" in done.stderr
    shown = CliRunner().invoke(dataset, ["info", str(out), "--verify"], catch_exceptions=False).stdout
    assert "synth_lead                     0 (0)           0 (0)           2 (2)           2 (2)" in shown
    assert "damaged     0\n" in shown and "0.00 hours" in shown
    (out / "train" / "audio" / "keyboard_acoustic_000-060-100.wav").unlink()
    shown = CliRunner().invoke(dataset, ["info", str(out)], catch_exceptions=False).stdout
    assert "damaged     1 found" in shown and "keyboard_acoustic_000-060-100.wav" in shown


@pytest.mark.parametrize("option", ["--velocities loud", "--split 90,5", "--split 110,-5,-5", "--pitches 9-2"])
def test_command_options_that_cannot_be_meant(font, tmp_path, option):
    words = ["build", str(tmp_path / "o"), "--soundfont", str(font), *option.split()]
    with pytest.raises(UsageError):
        CliRunner().invoke(dataset, words, catch_exceptions=False)


def test_each_soundfont_has_keys_and_velocities_of_its_own(font, tmp_path):
    other = write_small(tmp_path / "other.sf2")
    fonts = ["--soundfont", str(font), "--soundfont", str(other)]
    grids = ["--pitches", "60", "--velocities", "40,127", "--pitches", "48-72/12", "--velocities", "100"]
    result = CliRunner().invoke(dataset, ["build", str(tmp_path / "out"), *fonts, *grids], standalone_mode=False)
    assert result.exception is None
    keys = {font.name: set(), other.name: set()}
    for split in ("train", "valid", "test"):
        for e in json.loads((tmp_path / "out" / split / "examples.json").read_text()).values():
            keys[e["soundfont"]].add((e["pitch"], e["velocity"]))
    assert keys == {font.name: {(60, 40), (60, 127)}, other.name: {(48, 100), (60, 100), (72, 100)}}
    result = CliRunner().invoke(dataset, ["build", str(tmp_path / "no"), *fonts, *grids, "--pitches", "60"], standalone_mode=False)
    assert isinstance(result.exception, UsageError)
