"""The voice's bars: measures that tell good from bad on sounds whose truth is known, and the command that prints them."""

import csv
from pathlib import Path

import nsynthset
import numpy as np
import pytest
from click.testing import CliRunner

from nsynth_instrument.audio import resample
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.cli import cli
from nsynth_instrument.dataset.example import Example
from nsynth_instrument.dataset.nsynth import Dataset
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.dsp.steadiness import movement
from nsynth_instrument.evaluate.away import another, away, same
from nsynth_instrument.evaluate.movements import movements
from nsynth_instrument.evaluate.own import distances
from nsynth_instrument.evaluate.recordings import draw, hear, held_out, new_key, of_sketch, readable
from nsynth_instrument.evaluate.tones import steady
from nsynth_instrument.notes import hz
from nsynth_instrument.runtimes import open_codec

RATE = 48000


def tremolo(depth: float, frequency: float, pitch: int = 60) -> np.ndarray:
    """A steady tone whose level swings by `depth` dB to both sides."""
    sound = steady(hz(pitch), RATE, 4.0)
    return (sound * 10 ** (depth * np.sin(2 * np.pi * frequency * np.arange(len(sound)) / RATE) / 20)).astype(np.float32)


def test_a_steady_tone_has_no_movement() -> None:
    for pitch in (57, 64, 81):
        still = movement(steady(hz(pitch), RATE, 4.0), pitch)
        assert still.stir < 0.06
        assert still.hum < 0.02
        assert still.sway < 0.5


def test_hum_and_stir_have_the_depth_that_was_put_in() -> None:
    shaken = movement(tremolo(0.5, 31.25, 72), 72)
    assert 0.3 < shaken.hum < 0.5, "the analysis window takes a quarter off"
    assert shaken.stir == pytest.approx(shaken.hum / 2**0.5, rel=0.05)
    slow = movement(tremolo(0.5, 9.0, 72), 72)
    assert slow.hum < 0.05
    assert slow.stir == pytest.approx(0.5 / 2**0.5, rel=0.15)


def test_jitter_and_vibrato_grow_with_what_they_measure() -> None:
    t = np.arange(4 * RATE) / RATE
    depth = 10.0  # cents
    phase = 2 * np.pi * 440 * np.cumsum(2 ** (depth / 1200 * np.sin(2 * np.pi * 5 * t))) / RATE
    bent = (0.2 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)
    assert movement(bent, 69).sway == pytest.approx(depth / 2**0.5, rel=0.1)
    still, choir = movement(steady(440.0, RATE, 4.0), 69), movement(ensemble(), 69)
    assert choir.jitter > 10 * still.jitter


def test_what_nobody_hears_is_no_movement() -> None:
    """A stroke that dies away into a recording's silence, which goes up and down as noise does."""
    t = np.arange(4 * RATE) / RATE
    struck = (steady(440.0, RATE, 4.0) * 10 ** (-60 * t / 20)).astype(np.float32)
    silence = np.random.default_rng(0).normal(0, 1e-6, len(t)).astype(np.float32)
    assert movement(struck + silence, 69).jitter == pytest.approx(60 / 125, rel=0.1), "it falls by 60 dB a second, and no more"
    soon = (steady(440.0, RATE, 4.0) * 10 ** (-200 * t / 20)).astype(np.float32)
    assert movement(soon + silence, 69).jitter == 0, "it was over before it would be held"


def ensemble() -> np.ndarray:
    """Three players of one note, each a little out of tune."""
    players = [steady(440 * 2 ** (c / 1200), RATE, 4.0) for c in (-9, 1, 7)]
    return np.asarray(sum(players) / 3, dtype=np.float32)


def test_the_same_recording_at_another_key_is_told_from_another_one() -> None:
    rng = np.random.default_rng(0)
    a = steady(220.0, RATE, 4.0) + rng.normal(0, 0.003, 4 * RATE).astype(np.float32)
    b = steady(220.0 * 2 ** (3 / 12), RATE, 4.0) + rng.normal(0, 0.03, 4 * RATE).astype(np.float32)
    up = resample(a, RATE * 2 ** (3 / 12), RATE)
    up = np.pad(up, (0, 4 * RATE - len(up)))
    later = np.pad(up, (300, 0))[: len(up)]
    assert same(up, 0.5 * later, RATE)
    vibrato = np.interp(np.arange(4 * RATE) + 30 * np.sin(np.arange(4 * RATE) / RATE * 2 * np.pi * 5), np.arange(4 * RATE), b)
    assert not same(vibrato.astype(np.float32), up, RATE), "the same key and timbre, but not the same wave"


def example(pitch: int, **extra: object) -> Example:
    return Example(f"a-{pitch:03d}-100", 0, "a", 0, pitch, 100, RATE, (0,) * 10, 0, 0, lambda: steady(220, RATE, 1), extra=extra)


def test_notes_that_say_their_samples_are_of_one_recording_if_they_share_one() -> None:
    assert another(example(60, samples=[12, 13]), example(63, samples=[14, 15])) is True
    assert another(example(60, samples=[12, 13]), example(63, samples=[13, 14])) is False
    for said in ({}, {"samples": []}, {"samples": "1"}, {"samples": [[1]]}, {"samples": 1}):
        assert another(example(60, samples=[1]), example(63, **said)) is None, said


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"train": [("flute_acoustic_000", 2)], "test": [("string_acoustic_000", 8), ("organ_acoustic_000", 6)]}
    return nsynthset.make(tmp_path_factory.mktemp("set"), splits=splits, pitches=range(42, 87, 2))


def test_notes_are_drawn_by_the_seed_and_spread_over_instruments(notes: Path) -> None:
    data = list(Dataset.open(notes))
    first = draw(data, 6, 1, also=held_out)
    assert [e.note_str for e in first] == [e.note_str for e in draw(reversed(data), 6, 1, also=held_out)]
    assert [e.note_str for e in first] != [e.note_str for e in draw(data, 6, 2, also=held_out)]
    assert sorted(e.instrument_str for e in first) == ["organ_acoustic_000"] * 3 + ["string_acoustic_000"] * 3
    assert len(draw(data, 10_000, 0)) == len(data)


def test_notes_that_cannot_be_read_are_left_out_of_a_draw(tmp_path: Path) -> None:
    folder = nsynthset.make(tmp_path, splits={"test": [("flute_a", 2), ("organ_b", 6)]}, pitches=range(60, 63))
    (folder / "test" / "audio" / "flute_a-061-100.wav").unlink()
    told: list[str] = []
    found = draw(Dataset.open(folder), 6, 0, usable=lambda e: readable(e, told.append))
    assert len(found) == 5
    assert len(told) == 1 and "left out: there is no file" in told[0] and "flute_a-061-100.wav" in told[0]
    assert len(draw(Dataset.open(folder), 6, 0)) == 6


def test_a_recording_is_heard_in_tune(notes: Path) -> None:
    example = next(e for e in Dataset.open(notes) if e.pitch == 60)
    heard = hear(example, RATE)
    assert heard.cents == pytest.approx(7, abs=0.5)
    assert abs(cents_off(heard.audio, RATE, 60)) < 0.3
    assert heard.audio.shape == (4 * RATE,)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flute and a lead of programs that the sketch heard, trained on, and a vibraphone and an electric piano, held out."""
    said = {"flute_a": 73, "lead_b": 81, "mallet_c": 11, "keyboard_d": 5}
    splits = {"train": [("flute_a", 2), ("lead_b", 9)], "test": [("mallet_c", 5), ("keyboard_d", 4)]}
    return nsynthset.make(tmp_path_factory.mktemp("set"), splits=splits, pitches=range(22, 100, 4), programs=said)


def test_bars_are_asked_of_what_the_sketch_heard_and_all_the_rest_stands_beside(model: Bundle, programs: Path) -> None:
    data = list(Dataset.open(programs))
    told: list[str] = []
    codec = open_codec(model, "auto", threads=1)
    found = {b.what: b for b in (*distances(codec, data, 3, 0, told.append), *away(codec, data, 3, 0, told.append))}
    asked = {what for what, b in found.items() if b.holds is not None}
    assert asked == {
        "LSD, held-out pitches of the sketch's programs",
        "LSD of a bank note at its own key, with details, held-out pitches of the sketch's programs",
        "LSD, held-out instruments, clear pitch, keys 28 to 94",
        "LSD, +12 semitones from one note of the sketch's programs",
        "LSD, -12 semitones from one note of the sketch's programs",
        "LSD, +12 semitones from one note of the sketch's programs, to a held-out key",
        "LSD, -12 semitones from one note of the sketch's programs, to a held-out key",
    }, "and no two keys are three semitones apart"
    beside = {w for w in found if w not in asked}
    assert beside == {
        "LSD, held-out pitches", "LSD, held-out instruments", "LSD, +12 semitones from one note", "LSD, -12 semitones from one note",
        "LSD of a bank note at its own key, with details, held-out instruments",
    }  # fmt: skip
    assert all(found[w].bar == found[w].lab == "" for w in beside)


def test_a_key_of_the_same_sample_is_no_other_recording(model: Bundle, tmp_path: Path) -> None:
    data = Dataset.open(nsynthset.make(tmp_path, splits={"test": [("organ_b", 6)]}, pitches=range(60, 75, 3), programs={"organ_b": 19}))
    found = {b.what: b for b in away(open_codec(model, "auto", threads=1), list(data), 9, 0, lambda _: None)}
    for interval in ("+3", "-3"):
        what = f"LSD, {interval} semitones from one note, while held"
        assert (found[what].notes, found[what].holds) == (4, None)
        assert (found[f"{what}, of another recording"].notes, found[f"{what}, of another recording"].holds) == (2, False)


def test_what_the_sketch_heard(programs: Path) -> None:
    data = list(Dataset.open(programs))
    assert {e.instrument_str for e in data if of_sketch(e)} == {"flute_a", "lead_b", "mallet_c"}
    assert {e.pitch for e in data if of_sketch(e)} == set(range(30, 95, 4))
    assert {(e.instrument_str, e.pitch) for e in data if of_sketch(e) and new_key(e)} == {(n, k) for n in ("flute_a", "lead_b") for k in (46, 66, 86)}
    assert not of_sketch(example(60, program=73, bank=8)) and not of_sketch(example(60)) and not of_sketch(example(60, program=[73]))


def test_detuned_oscillators_are_asked_for_their_beating_alone(model: Bundle, programs: Path) -> None:
    rows = list(movements(open_codec(model, "auto", threads=1), list(Dataset.open(programs)), 2, 0, lambda _: None))
    assert [r.what for r in rows] == ["frame jitter of flute", "vibrato of flute", "frame jitter of saw lead"]
    assert [r.holds is not None for r in rows] == [False, True, True]
    assert all(r.notes == 2 for r in rows)


def test_evaluate_voice_prints_and_writes_every_bar(model: Bundle, notes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["evaluate", "harmonic", "--data", str(notes), "--voice", "--notes", "2", "--out", str(out)])
    assert done.exit_code == 0, done.output
    with (out / "voice-harmonic.csv").open() as f:
        rows = {r["what"]: r for r in csv.DictReader(f)}
    for what in ("LSD, held-out pitches", "LSD, held-out instruments", "LSD, +12 semitones from one note"):
        assert float(rows[what]["here"].split()[0]) > 6, "a random network has learned nothing"
        assert rows[what]["reached"] == "no"
    # Details put back what the network did not say, even if it said nothing.
    assert float(rows["LSD of a bank note at its own key, with details, held-out instruments"]["here"].split()[0]) < 5
    assert float(rows["f0 error over 88 keys, median"]["here"].split()[0]) < 1
    assert rows["f0 error over 88 keys, median"]["reached"] in ("yes", "no")
    assert float(rows["notes within 10 cents, keys 28 to 96"]["here"].split()[0]) == 100
    for how, reached in (("", ("",)), (", with details", ("yes", "no"))):
        row = rows[f"notes without hiss where the recording has none{how}"]
        assert 0 <= float(row["here"].split()[0]) <= 100 and row["reached"] in reached, "asked of what is played"
    assert "frame jitter of strings" in rows
    assert "| LSD, held-out pitches |" in (out / "voice-harmonic.md").read_text()
    assert "level step" in done.output
