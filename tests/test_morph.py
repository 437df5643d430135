"""Between sounds: codes on lines and arcs, notes of a mixture, and morphs that move; in one time: `test_align`."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from courses import falling
from hypothesis import given
from hypothesis import strategies as st

from nsynth_instrument import render
from nsynth_instrument.bank import Instrument, InstrumentBank
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.cli import cli
from nsynth_instrument.codes import Morph
from nsynth_instrument.dsp import detail, levels, timbre
from nsynth_instrument.dsp.loudness import loudest
from nsynth_instrument.dsp.partials import ATTACK, BANDS, SLOTS
from nsynth_instrument.errors import NsynthError, UsageError
from nsynth_instrument.instruments import read_bank
from nsynth_instrument.mixing import LAYERS, Mixed, Mixer, _around, details
from nsynth_instrument.notes import Note, NoteGrid
from nsynth_instrument.pack import SamplePack
from nsynth_instrument.preset import RenderPlan
from nsynth_instrument.runtimes import open_codec
from nsynth_instrument.trajectories import arc, line, read_at, stretch


def _instrument(codes: np.ndarray, name: str = "x") -> Instrument:
    one = np.array([60], np.int16)
    return Instrument(name, "flute", "acoustic", "X", "MIT", one, one, codes[None].astype(np.float32))


@pytest.mark.parametrize("between", [line, arc])
@given(seed=st.integers(0, 99), mix=st.floats(0, 1))
def test_lines_and_arcs_meet_their_ends_and_stay_between_lengths(between, seed: int, mix: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 20, 16)).astype(np.float32)
    for share, end in ((0.0, a), (1.0, b)):
        assert np.allclose(between([a, b], np.array([[1 - share] * 20, [share] * 20], np.float32)), end, atol=1e-4)
    found = between([a, b], np.array([[1 - mix] * 20, [mix] * 20], np.float32))
    assert np.linalg.norm(found, axis=1).max() <= max(np.linalg.norm(a, axis=1).max(), np.linalg.norm(b, axis=1).max()) + 1e-4


def test_an_arc_turns_evenly_and_keeps_the_length() -> None:
    a, b = np.zeros((2, 1, 16), np.float32)
    a[0, 0], b[0, 1] = 2, 2
    for mix in (0.25, 0.5, 0.9):
        found = arc([a, b], np.array([[1 - mix], [mix]], np.float32))[0]
        assert found[:2] == pytest.approx([2 * np.cos(mix * np.pi / 2), 2 * np.sin(mix * np.pi / 2)], abs=1e-5)
    assert np.isfinite(arc([a, -a], np.full((2, 1), 0.5, np.float32))).all(), "opposite, where there are many arcs"
    third = np.zeros((1, 16), np.float32)
    third[0, 2] = 2
    middle = arc([a, b, third], np.full((3, 1), 1 / 3, np.float32))[0]
    assert middle[:3] == pytest.approx([2 / np.sqrt(3)] * 3, abs=1e-5)


def test_codes_are_read_at_other_places() -> None:
    codes = np.repeat(np.arange(125, dtype=np.float32)[:, None], 16, axis=1)
    same = np.arange(500, dtype=np.float32)
    assert np.allclose(read_at(codes, same), codes)
    assert np.allclose(read_at(codes, np.maximum(same - 8, 0))[3:, 0], np.arange(1, 123))


@pytest.mark.parametrize("frames", [47, 63, 94, 124, 125, 126, 200, 938])
def test_stretch_keeps_the_onset_and_the_end(frames: int) -> None:
    time = np.arange(125, dtype=np.float32)
    out = stretch(np.repeat(time[:, None], 16, axis=1), frames)[:, 0]
    assert len(out) == frames
    onset = min(31, frames - 31)
    assert np.array_equal(out[:onset], time[:onset])
    assert out[-1] == 124
    if frames >= 125:
        assert np.array_equal(out[-31:], time[-31:])
    assert (np.diff(out) >= 0).all()
    assert np.diff(out).max() < 8


@pytest.mark.parametrize("frames", [1, 20, 32])
def test_codes_of_no_usual_length_are_fitted(frames: int) -> None:
    codes = np.random.default_rng(0).normal(size=(frames, 16)).astype(np.float32)
    assert stretch(codes, 125).shape == (125, 16)


def test_details_are_read_elsewhere_and_weighted_over_time() -> None:
    frames = 200
    ramp = np.repeat(np.arange(frames, dtype=np.float32)[:, None], SLOTS, axis=1)
    one = detail.Detail(ramp, ramp[:, :BANDS], ramp * 0, ramp[:, 0], np.zeros(ATTACK, np.float32))
    zero = np.zeros((frames, SLOTS), np.float32)
    sizes = {f.name: getattr(timbre.say(np.zeros((frames, timbre.OUT), np.float32), 220.0), f.name) for f in dataclasses.fields(timbre.Said)}
    said = timbre.Said(**{**sizes, "level": zero, "offset": zero, "noise": zero[:, :BANDS], "deviation": zero[:, 0]})
    added = detail.add(said, 220.0, [(one, np.linspace(0, 1, frames, dtype=np.float32))])
    assert added.level[:, 0] == pytest.approx(np.arange(frames) * np.linspace(0, 1, frames), abs=1e-3)
    for last in (99.5, 1e4):
        at = np.minimum(np.arange(frames) * last / (frames - 1), frames - 1).astype(np.float32)
        moved = detail.add(said, 220.0, [(dataclasses.replace(one, at=at), 0.5)])
        assert moved.level[:, 7] == pytest.approx(0.5 * at, abs=1e-3) and moved.deviation == pytest.approx(0.5 * at, abs=1e-3)


def _mix(model: Bundle, mix: float, *notes: Note, spherical: bool = False) -> list[Mixed]:
    mixer = Mixer(read_bank(model), open_codec(model, threads=1), 125, spherical=spherical)
    return mixer.mix([(Morph.between("flute", "bass", mix), n) for n in notes])


def test_a_sound_alone_is_left_as_it_is(model: Bundle) -> None:
    mixed = _mix(model, 0.0, Note(60, 100))[0]
    assert np.array_equal(mixed.codes, read_bank(model)["flute"].at(Note(60, 100)))
    assert mixed.level is None


def test_keys_between_known_ones_are_as_loud_as_between_them(model: Bundle) -> None:
    codec, bank = open_codec(model, threads=1), read_bank(model)
    notes = [Note(p, 100) for p in range(60, 73)]
    for spoilt in ("flute", "bass"):
        mixed = Mixer(bank, codec, 125).mix([(Morph.of({spoilt: 1.0}), n) for n in notes])
        made = codec.decode([m.codes for m in mixed], notes, level=[m.level for m in mixed], temperature=0)
        loud = [loudest(a) for a in made]
        assert np.ptp(loud - np.linspace(loud[0], loud[-1], 13)) < 1.5
    assert mixed[0].level is None and mixed[12].level is None, "what is known is left as it is"


@pytest.mark.parametrize("pitch", [0, 20, 24, 30, 36, 84, 85, 89, 127])
def test_levels_are_asked_for_around_a_note(model: Bundle, pitch: int) -> None:
    found = dict(_around(read_bank(model)["flute"], Note(pitch, 60)))
    assert sum(found.values()) == pytest.approx(1)
    assert {n.velocity for n in found} == {25, 75}
    assert sum(n.pitch * w for n, w in found.items()) == pytest.approx(pitch)
    known = {24, 36, 48, 60, 72, 84, 96}
    if 24 <= pitch <= 84:
        assert {n.pitch for n in found} <= known


def test_a_note_s_mixture_does_not_depend_on_the_others(model: Bundle) -> None:
    notes = [Note(p, v) for p in (0, 61, 127) for v in (1, 100)]
    for note, m in zip(notes, _mix(model, 0.3, *notes), strict=True):
        alone = _mix(model, 0.3, note)[0]
        assert np.array_equal(alone.codes, m.codes) and np.array_equal(alone.level, m.level)


@pytest.mark.parametrize("spherical", [False, True])
def test_the_middle_is_as_loud_as_between_the_ends(model: Bundle, spherical: bool) -> None:
    codec, note = open_codec(model, threads=1), Note(60, LAYERS[2])

    def loud(mix: float) -> float:
        m = _mix(model, mix, note, spherical=spherical)[0]
        return loudest(codec.decode([m.codes], [note], level=[m.level], temperature=0)[0])

    ends = sorted((loud(0.0), loud(1.0)))
    for mix in (0.1, 0.5, 0.9):
        assert ends[0] - 1 < loud(mix) < ends[1] + 1


class _Staying:
    """Of a codec: codes that are the same at all keys."""

    def transposed(self, codes: list[np.ndarray], notes: object, wanted: object, kept: object) -> list[tuple[np.ndarray, None]]:
        return [(c, None) for c in codes]


def test_a_swell_and_a_stroke_peak_apart_and_are_as_loud_together() -> None:
    courses = {"a": falling(2, 30.0), "b": falling(110, 0.0, top=-24.0)}

    class Telling(_Staying):
        def levels(self, codes: object, notes: list[Note], *, detail: object = None) -> list[np.ndarray]:
            return [courses.pop(min(courses))] * len(notes)

    a, b = _instrument(np.zeros((125, 16)), "a"), _instrument(np.ones((125, 16)), "b")
    tops = [levels.loudest(c) for c in courses.values()]
    mixed = Mixer(InstrumentBank.of([a, b]), Telling(), 125).mix([(Morph.between("a", "b", 0.25), Note(60, 60))])[0]  # type: ignore[arg-type]
    assert mixed.level is not None
    assert levels.loudest(mixed.level) == pytest.approx(0.75 * tops[0] + 0.25 * tops[1], abs=0.01)


def test_a_codec_that_cannot_say_levels_mixes_as_time_goes() -> None:
    class Deaf(_Staying):
        def levels(self, codes: object, notes: object, *, detail: object = None) -> None:
            return None

    rng = np.random.default_rng(0)
    a, b = (_instrument(rng.normal(size=(125, 16)), n) for n in "ab")
    note = Note(60, 100)
    mixer = Mixer(InstrumentBank.of([a, b]), Deaf(), 125)  # type: ignore[arg-type]
    mixed = mixer.mix([(Morph.between("a", "b", 0.75), note)])[0]
    assert np.allclose(mixed.codes, 0.25 * a.at(note) + 0.75 * b.at(note), atol=1e-6)
    assert mixed.level is None


def test_details_know_how_far_they_are_and_follow_the_weight() -> None:
    class Deaf(_Staying):
        def levels(self, codes: object, notes: object, *, detail: object = None) -> None:
            return None

    rng = np.random.default_rng(0)
    bare = _instrument(rng.normal(size=(125, 16)))
    known = dataclasses.replace(bare, name="b", detail={"data": np.zeros(1)})
    mixer = Mixer(InstrumentBank.of([bare, known]), Deaf(), 125)  # type: ignore[arg-type]
    assert details(bare, Note(60)) == []
    for key in (60, 63, 40):
        (alone,) = details(known, Note(key))
        assert alone.weight == 1 and alone.away == key - 60
        (mixed,) = mixer.mix([(Morph.between(bare.name, "b", 0.25), Note(key))])[0].detail
        assert mixed.weight == pytest.approx(np.full(500, 0.25)) and mixed.away == key - 60


def test_a_course_goes_from_weight_to_weight_until_the_release() -> None:
    morph = Morph.between("a", "b", (0.0, 1.0))
    assert morph.courses == {"a": (1.0, 0.0), "b": (0.0, 1.0)}
    assert morph.at(np.array([-1, 0, 0.25, 1, 2]))[1] == pytest.approx([0, 0, 0.25, 1, 1])
    assert Morph.between("a", "b", (0.3, 0.3)) == Morph.between("a", "b", 0.3), "what does not move is a number"
    back = Morph.between("a", "b", (0.0, 1.0, 0.0)).at(np.linspace(0, 1, 5))[1]
    assert back == pytest.approx([0, 0.5, 1, 0.5, 0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3), st.lists(st.floats(0, 1), min_size=1, max_size=3), st.floats(0, 1))
def test_corners_that_move_pass_where_their_places_pass(xs: list[float], ys: list[float], t: float) -> None:
    found = Morph.corners("a", "b", "c", "d", tuple(xs), tuple(ys)).at(np.array([t]))[:, 0]
    x, y = (float(np.interp(t, np.linspace(0, 1, len(v)), v)) if len(v) > 1 else v[0] for v in (xs, ys))
    assert found == pytest.approx([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], abs=2e-3)


@pytest.mark.parametrize("course", [((0.5, 0.6),), ((1.0,),), ((float("nan"), 1.0),), ((2.0, -1.0),), ((0.0, 1.0),) * 200])
def test_courses_that_cannot_be(course: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(UsageError):
        Morph((("a", 0.5), ("b", 0.5)), course)


def _run(plan: RenderPlan, folder: Path) -> SamplePack:
    for _ in render.render(plan, folder, threads=1):
        pass
    return SamplePack.load(folder)


MOVES = RenderPlan("moves", Morph.between("flute", "bass", (0.0, 1.0)), NoteGrid((48, 60)), seconds=2.0, loops=False, rate=16000)


def test_a_morph_that_moves_is_rendered_goes_on_and_is_told(model: Bundle, tmp_path: Path) -> None:
    whole = _run(MOVES, tmp_path / "whole")
    assert whole.title == "Flute to Bass"
    steps = render.render(MOVES, tmp_path / "cut", threads=1)
    next(s for s in steps if s.stage == "decode" and s.done)
    steps.close()
    assert [z.sha256 for z in _run(MOVES, tmp_path / "cut").zones] == [z.sha256 for z in whole.zones]
    text = (tmp_path / "whole" / "README.txt").read_text()
    assert "flute = [ 1.0, 0.0, ]" in " ".join(text.split()), "the plan in it moves too"
    other = dataclasses.replace(MOVES, morph=Morph.between("flute", "bass", (1.0, 0.0)))
    with pytest.raises(NsynthError, match="its morph differs"):
        _run(other, tmp_path / "whole")
    ends = [_run(dataclasses.replace(MOVES, morph=Morph.between("flute", "bass", m)), tmp_path / f"{m}") for m in (0.0, 1.0)]
    assert len({*(z.sha256 for p in (*ends, whole) for z in p.zones)}) == 3 * len(whole.zones)


def test_the_command_line_s_courses(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    def plan(*args: str) -> RenderPlan:
        cli.main(["render", *args, "--plan"], standalone_mode=False)
        return RenderPlan.from_toml(capsys.readouterr().out)

    moves = plan("--a", "flute", "--b", "bass", "--mix", "0:1", "--interpolation", "spherical")
    assert (moves.name, moves.morph, moves.interpolation) == ("flute-bass-0to100", MOVES.morph, "spherical")
    four = ("--a", "flute", "--b", "bass", "--c", "piano", "--d", "pizzicato")
    corner = plan(*four, "--x", "0:1", "--y", "1:0")
    assert corner.name == "flute-bass-piano-pizzicato-0to100-100to0"
    assert corner.morph.at(np.array([0.5]))[:, 0] == pytest.approx([0.25] * 4)
    assert plan(*four, "--x", "0.1").name == "flute-bass-piano-pizzicato-10-50"
    for wrong in ("a", "0:", "0:1:x", ":".join("0" * 20), "0:2", "nan"):
        with pytest.raises(UsageError, match=r"such as 0:1|out of range"):
            plan("--a", "flute", "--b", "bass", "--mix", wrong)
