"""A plan becomes a pack: whole, in tune, one gain, and the same every time."""

import dataclasses
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from plans import LONG, ONE, PLAN, contents, report, run

from nsynth_instrument import bundle, finishing, render
from nsynth_instrument.audio import resample
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.codes import Morph
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.notes import Note, NoteGrid, hz
from nsynth_instrument.pack import SamplePack
from nsynth_instrument.preset import RenderPlan
from nsynth_instrument.writers.sums import read_sums


def test_the_pack_is_whole(done: Path) -> None:
    pack = SamplePack.load(done)
    samples = {f"Samples/Flute-Bass_{k}_v{v:03d}.wav" for k in ("036_C2", "060_C4", "084_C6") for v in (50, 100)}
    assert {z.file for z in pack.zones} == samples
    assert contents(done).keys() == samples | {"pack.json", "README.txt", "report.csv", "SHA256SUMS", "Flute-Bass.sfz"}
    assert RenderPlan.from_dict(pack.plan) == PLAN
    for zone in pack.zones:
        info = soundfile.info(done / zone.file)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (48000, 1, "PCM_24", 144000)
        assert zone.frames == 144000
        assert bundle.sha256(done / zone.file) == zone.sha256
    assert pack.licence == "MIT"
    assert "Flute (MIT)" in pack.sources
    assert pack.versions["model"].startswith("harmonic ")


def test_every_file_is_in_the_list_of_hashes(done: Path) -> None:
    assert read_sums(done) == {k: v for k, v in contents(done).items() if k != "SHA256SUMS"}
    told = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=done, capture_output=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")


@pytest.mark.parametrize("bits", [16, 24])
def test_whole_numbers_are_dithered(model: Bundle, tmp_path: Path, bits: int) -> None:
    """Against 32-bit float of the same plan the error is that of TPDF: half a step, not 0.29, and not that of rounding."""
    for b in (bits, 32):
        run(dataclasses.replace(ONE, bits=b), tmp_path / str(b))
    exact, rounded = (soundfile.read(tmp_path / str(b) / "Samples/Flute-Bass_060_C4_v100.wav")[0] for b in (32, bits))
    assert (rounded - exact)[:100000].std() * 2 ** (bits - 1) == pytest.approx(0.5, abs=0.02)


def test_one_gain_for_all_and_tails_that_end_in_silence(done: Path) -> None:
    audio = {z.velocity * 1000 + z.root: soundfile.read(done / z.file, dtype="float32")[0] for z in SamplePack.load(done).zones}
    peaks = [np.abs(a).max() for a in audio.values()]
    assert max(peaks) == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    assert min(peaks) < 0.5 * max(peaks), "levels between notes are kept"
    assert all(abs(a[-1]) < 2.1 * 2**-23 for a in audio.values()), "but for dither"


def test_steps_are_positions_along_the_way(model: Bundle, tmp_path: Path) -> None:
    """Three of them: all files, maps that name them, one gain; each with the partials that it has alone, powers add between."""
    plan = dataclasses.replace(PLAN, grid=NoteGrid((60,), (50, 100)), steps=3, formats=("sfz", "sf2"))
    run(plan, tmp_path / "way")
    pack = SamplePack.load(tmp_path / "way")
    assert pack.positions == ((0.0,), (0.5,), (1.0,))
    assert pack.title == "Flute to Bass"
    names = [f"Samples/Flute-Bass_p{k}_060_C4_v{v:03d}.wav" for k in (1, 2, 3) for v in (50, 100)]
    assert [z.file for z in pack.zones] == names
    assert [z.position for z in pack.zones] == [(0.0,)] * 2 + [(0.5,)] * 2 + [(1.0,)] * 2
    text = (tmp_path / "way/Flute-Bass.sfz").read_text()
    assert all(n in text for n in names) and "xfin_locc1" in text and "xfout_locc1" in text
    assert max(z.peak for z in pack.zones) == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    assert [r["position"] for r in report(tmp_path / "way")] == ["0", "0", "0.5", "0.5", "1", "1"]
    assert all(words in (tmp_path / "way/README.txt").read_text() for words in ("p1: Flute\np2: 50 % Flute, 50 % Bass\np3: Bass", "CC1"))
    sound = {z.file: soundfile.read(tmp_path / "way" / z.file)[0] for z in pack.zones}
    for k, share in enumerate((0.0, 0.5, 1.0)):
        run(dataclasses.replace(plan, morph=Morph.between("flute", "bass", share), steps=1), tmp_path / f"{k}")
        alone = soundfile.read(tmp_path / f"{k}" / "Samples/Flute-Bass_060_C4_v100.wav")[0]
        among = sound[names[2 * k + 1]]
        mine, theirs = (_partials(x / np.sqrt(np.mean(np.square(x))), 60, pack.rate) for x in (among, alone))
        assert np.abs(mine - theirs)[theirs > theirs.max() - 30].max() < 0.5
    for a, b in ((1, 3), (3, 5)):
        x, y = sound[names[a]], sound[names[b]]
        assert not np.allclose(x, y, atol=1e-2)
        assert abs(np.vdot(x, y)) < 0.05 * np.linalg.norm(x) * np.linalg.norm(y), "a quarter turn apart"
    assert len({z.loop for z in pack.zones if z.velocity == 100}) == 1, "they jump together"


def _partials(x: np.ndarray, key: int, rate: int) -> np.ndarray:
    """dB of the first ten harmonics, in the middle of a note."""
    cut = x[rate // 2 : 3 * rate // 2] * np.hanning(rate)
    turns = np.exp(-2j * np.pi * hz(key) * np.arange(1, 11)[:, None] * np.arange(rate) / rate)
    return 20 * np.log10(np.abs(turns @ cut) + 1e-9)


def test_zones_answer_for_every_key_and_velocity(done: Path) -> None:
    answered = np.zeros((128, 128), int)
    for z in SamplePack.load(done).zones:
        answered[z.low_key : z.high_key + 1, z.low_velocity : z.high_velocity + 1] += 1
    assert (answered[:, 1:] == 1).all()


def test_the_report_and_the_readme(done: Path) -> None:
    rows = report(done)
    assert [(r["key"], r["name"], r["velocity"]) for r in rows[:2]] == [("36", "C2", "50"), ("36", "C2", "100")]
    assert all(abs(float(r["cents_off"])) < 1 for r in rows)
    assert all(-60 < float(r["loudness_lufs"]) < 0 for r in rows)
    assert max(float(r["peak_dbfs"]) for r in rows) == -1.0
    readme = (done / "README.txt").read_text()
    assert "50 % Flute, 50 % Bass" in readme
    for words in ("MIT", "C4", "48000 Hz", "24-bit", "[morph]", "fingerprint", "checked with sfizz"):
        assert words in readme


def test_the_readme_s_plan_makes_the_same_pack(done: Path, tmp_path: Path) -> None:
    text = (done / "README.txt").read_text().split("--preset pack.toml")[1]
    assert RenderPlan.from_toml("\n".join(line.strip() for line in text.splitlines())) == PLAN


def test_the_same_plan_gives_the_same_bytes(done: Path, tmp_path: Path) -> None:
    run(PLAN, tmp_path / "again", threads=1)
    assert contents(tmp_path / "again") == contents(done)


def test_a_helper_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the shipped model, whose sums are long; it makes nearly all here, since this process is slow."""
    monkeypatch.chdir(tmp_path)
    run(LONG, tmp_path / "alone", threads=1)
    made: list[range] = []
    maker = render._Job.maker

    def slow(job: render._Job) -> Callable[[range], range]:
        def one(run: range) -> range:
            time.sleep(8.0 if not made else 0.0)
            made.append(run)
            return maker(job)(run)

        return one

    monkeypatch.setattr(render._Job, "maker", slow)
    run(LONG, tmp_path / "together", threads=2)
    assert 0 < sum(map(len, made)) < LONG.count / 2
    assert contents(tmp_path / "together") == contents(tmp_path / "alone")


def test_a_note_does_not_depend_on_the_others(done: Path, tmp_path: Path) -> None:
    run(ONE, tmp_path / "one")
    name = "Samples/Flute-Bass_060_C4_v100.wav"
    alone, among = (soundfile.read(f / name)[0] for f in (tmp_path / "one", done))
    assert np.allclose(alone / np.abs(alone).max(), among / np.abs(among).max(), atol=1e-5)


def test_ends_and_middle_differ(model: Bundle, tmp_path: Path) -> None:
    for a, b in (("flute", "flute"), ("bass", "bass"), ("flute", "bass")):
        run(dataclasses.replace(ONE, morph=Morph.between(a, b, 0.5)), tmp_path / f"{a}-{b}")
    assert len({f.read_bytes() for f in tmp_path.glob("*/Samples/Flute-Bass_060_C4_v100.wav")}) == 3


@pytest.mark.parametrize(("bits", "subtype"), [(16, "PCM_16"), (32, "FLOAT")])
def test_other_rates_lengths_and_depths(model: Bundle, tmp_path: Path, bits: int, subtype: str) -> None:
    plan = dataclasses.replace(ONE, rate=44100, seconds=5.5, bits=bits, loops=False)
    run(plan, tmp_path)
    zone = SamplePack.load(tmp_path).zones[0]
    info = soundfile.info(tmp_path / zone.file)
    assert (info.samplerate, info.frames, info.subtype) == (44100, round(44100 * 5.5), subtype)
    assert zone.loop is None
    assert float(report(tmp_path)[0]["cents_off"]) == pytest.approx(0, abs=1)


def test_held_notes_loop_without_a_step(done: Path) -> None:
    looped = [z for z in SamplePack.load(done).zones if z.loop]
    assert looped
    for z in looped:
        assert z.loop is not None
        audio = soundfile.read(done / z.file)[0]
        seam = abs(audio[z.loop.start] - audio[z.loop.end])
        assert seam <= 2 * np.abs(np.diff(audio[z.loop.start : z.loop.end])).max()


def test_a_note_that_wavers_is_in_tune_once_it_is_looped() -> None:
    """A loop repeats a part of it: here one that is flatter than the whole."""
    time, rng, audio = np.arange(3 * 48000) / 48000, np.random.default_rng(16), np.zeros(3 * 48000)
    for k in range(1, 8):
        cents = np.interp(time, np.linspace(0, 3, 40), rng.normal(0, 12, 40))
        level = np.interp(time, np.linspace(0, 3, 60), rng.normal(0, 1.5, 60)) - 20
        audio += 10 ** (level / 20) / k * np.sin(2 * np.pi * k * np.cumsum(hz(60) * 2 ** (cents / 1200)) / 48000 + k)
    audio *= np.minimum(1, (3 - time) / 0.9)
    made = resample(audio, 48000 / 2 ** (cents_off(audio.astype(np.float32), 48000, 60) / 1200), 48000)
    looped = finishing._looped(PLAN, Note(60), [made], 48000, [0])
    assert abs(cents_off(made, 48000, 60)) < 0.01 and finishing._off(looped) > finishing.OFF
    ((sound, facts),) = finishing.finished(PLAN, Note(60), [made], 48000, [0])
    assert abs(cents_off(sound, 48000, 60)) <= finishing.OFF and facts[finishing.CENTS] == cents_off(sound, 48000, 60)
    assert facts[1] > facts[0] > 0


def test_the_shipped_model_makes_notes_in_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    plan = RenderPlan("x", Morph.between("flute", "trumpet", 0.5), NoteGrid((60, 72), (40, 100)))
    run(plan, tmp_path / "pack")
    rows = report(tmp_path / "pack")
    assert all(abs(float(r["cents_off"])) <= 0.25 for r in rows)
    soft, loud = (float(r["loudness_lufs"]) for r in rows[:2])
    assert loud > soft + 3
