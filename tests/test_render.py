"""A plan becomes a pack: whole, in tune, one gain, the same every time, and never done twice."""

import csv
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nsynth_instrument import bundle, render
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.codes import Morph
from nsynth_instrument.errors import BundleError, MissingExtra, NsynthError, UnknownName
from nsynth_instrument.instruments import find_instrument, read_bank
from nsynth_instrument.notes import NoteGrid, hz
from nsynth_instrument.pack import SamplePack
from nsynth_instrument.preset import RenderPlan
from nsynth_instrument.writers.sums import read_sums

PLAN = RenderPlan("Flute-Bass", Morph.between("flute", "bass", 0.5), NoteGrid((36, 60, 84), (50, 100)), seconds=3.0)
LONG = dataclasses.replace(PLAN, name="many", grid=NoteGrid(tuple(range(40, 76)), (100,)), seconds=1.5, rate=16000, loops=False)
"""More notes than the codec decodes at once."""


def run(plan: RenderPlan, folder: Path, **options: object) -> list[render.Progress]:
    return list(render.render(plan, folder, **options))  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): bundle.sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def report(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "report.csv").read_text().splitlines()))


@pytest.fixture(scope="session")
def _done(_model: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs") / "pack"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NSYNTH_INSTRUMENT_HOME", str(_model.folder.parent.parent))
        run(PLAN, folder)
    return folder


@pytest.fixture
def done(_done: Path, model: Bundle, tmp_path: Path) -> Path:
    """A finished pack of PLAN, to be looked at or changed."""
    return Path(shutil.copytree(_done, tmp_path / "pack"))


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
    plan = dataclasses.replace(PLAN, grid=NoteGrid((60,), (100,)))
    for b in (bits, 32):
        run(dataclasses.replace(plan, bits=b), tmp_path / str(b))
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


def test_an_interrupted_morph_goes_on(model: Bundle, tmp_path: Path) -> None:
    plan = dataclasses.replace(
        LONG, grid=NoteGrid(tuple(range(50, 60)), (100,)), steps=2, morph=Morph.corners("flute", "bass", "piano", "pizzicato", 0.5, 0.5)
    )
    run(plan, tmp_path / "whole")
    assert SamplePack.load(tmp_path / "whole").positions == ((0, 0), (1, 0), (0, 1), (1, 1))
    steps = render.render(plan, tmp_path / "broken")
    while next(steps).done == 0:
        pass
    steps.close()  # type: ignore[attr-defined]
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "broken").rglob("*.npz")}
    assert kept
    again = run(plan, tmp_path / "broken")
    assert 0 < again[0].done <= plan.count == again[0].of
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    with pytest.raises(NsynthError, match="its steps differs"):
        run(dataclasses.replace(plan, steps=3), tmp_path / "broken")


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


def test_a_note_does_not_depend_on_the_others(done: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(PLAN, grid=NoteGrid((60,), (100,)))
    run(one, tmp_path / "one")
    name = "Samples/Flute-Bass_060_C4_v100.wav"
    alone, among = (soundfile.read(f / name)[0] for f in (tmp_path / "one", done))
    assert np.allclose(alone / np.abs(alone).max(), among / np.abs(among).max(), atol=1e-5)


def test_ends_and_middle_differ(done: Path, tmp_path: Path) -> None:
    for end in ("flute", "bass"):
        run(dataclasses.replace(PLAN, morph=Morph.between(end, end, 0.5)), tmp_path / end)
    name = "Samples/Flute-Bass_060_C4_v100.wav"
    assert len({(f / name).read_bytes() for f in (done, tmp_path / "flute", tmp_path / "bass")}) == 3


@pytest.mark.parametrize(("bits", "subtype"), [(16, "PCM_16"), (32, "FLOAT")])
def test_other_rates_lengths_and_depths(model: Bundle, tmp_path: Path, bits: int, subtype: str) -> None:
    plan = dataclasses.replace(PLAN, grid=NoteGrid((60,), (100,)), rate=44100, seconds=5.5, bits=bits, loops=False)
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


def test_a_finished_pack_is_left_alone(done: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*")}
    steps = run(PLAN, done)
    assert "already" in steps[0].words
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*")} == before


def test_but_gets_a_format_that_it_lacks(done: Path) -> None:
    before = contents(done)
    run(dataclasses.replace(PLAN, formats=("sfz", "sf2")), done)
    after = contents(done)
    assert after.keys() - before.keys() == {"Flute-Bass.sf2"}
    assert {k for k in before if before[k] != after[k]} == {"pack.json", "SHA256SUMS"}
    assert read_sums(done) == {k: v for k, v in after.items() if k != "SHA256SUMS"}
    assert SamplePack.load(done).plan["formats"] == ["sfz", "sf2"]


def test_a_pack_that_lost_a_file_is_mended(done: Path) -> None:
    before = contents(done)
    (done / "Samples/Flute-Bass_060_C4_v100.wav").unlink()
    with pytest.raises(NsynthError, match="--force"):
        run(PLAN, done)
    run(PLAN, done, force=True)
    assert contents(done) == before


def test_another_plan_does_not_overwrite_it(done: Path) -> None:
    before = contents(done)
    other = dataclasses.replace(PLAN, seed=1, grid=NoteGrid((60,), (100,)))
    with pytest.raises(NsynthError, match="its seed and grid differ.*--out.*--force"):
        run(other, done)
    assert contents(done) == before
    run(dataclasses.replace(PLAN, formats=("sfz", "flac", "sf2")), done)
    (done / "my notes.txt").write_text("keep")
    sums = (done / "SHA256SUMS").read_text()
    (done / "SHA256SUMS").write_text(f"{sums}{'0' * 64}  ../victim\n{'0' * 64}  {done.parent}/victim\nnonsense\n")
    (done.parent / "victim").write_text("keep")
    run(other, done, force=True)
    assert contents(done).keys() == {
        "my notes.txt", "pack.json", "README.txt", "report.csv", "SHA256SUMS", "Flute-Bass.sfz", "Samples/Flute-Bass_060_C4_v100.wav",
    }  # fmt: skip
    assert (done.parent / "victim").exists()


def test_files_that_no_pack_made_are_not_replaced_unasked_and_never_removed(model: Bundle, tmp_path: Path) -> None:
    folder, mine = tmp_path / "mine", {"README.txt": "mine", "song.wav": "mine", "SHA256SUMS": f"{'0' * 64}  song.wav\n"}
    folder.mkdir()
    for name, text in mine.items():
        (folder / name).write_text(text)
    with pytest.raises(NsynthError, match=r"no pack's \(README.txt, SHA256SUMS\); .*--out.*--force"):
        run(LONG, folder)
    assert {p.name: p.read_text() for p in folder.iterdir()} == mine
    run(LONG, folder, force=True)
    assert (folder / "song.wav").read_text() == "mine"
    assert (folder / "README.txt").read_text() != "mine"


def test_interrupted_while_it_replaces_a_pack_it_leaves_none_of_its_files(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, replace = dataclasses.replace(PLAN, name="Other", grid=NoteGrid((60,), (100,))), Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.suffix == ".wav" and "pack" in self.parts[-3:]:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            run(other, done, force=True)
    assert not (done / "pack.json").exists()
    run(other, done)
    assert [p.name for p in (done / "Samples").iterdir()] == ["Other_060_C4_v100.wav"]
    assert contents(done).keys() - {"pack.json", "SHA256SUMS"} == read_sums(done).keys() - {"pack.json"}


def test_an_interrupted_render_goes_on(model: Bundle, tmp_path: Path) -> None:
    run(LONG, tmp_path / "whole")
    folder = tmp_path / "broken"
    steps = render.render(LONG, folder)
    while next(steps).done == 0:
        pass
    steps.close()  # type: ignore[attr-defined]
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz")}
    assert kept
    assert not (folder / "pack.json").exists()
    seen = []
    for step in render.render(LONG, folder):
        seen.append(step)
        if step.stage == "decode":
            assert kept.items() <= {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz")}.items(), "no note is decoded twice"
    assert seen[0].done > 0
    assert contents(folder) == contents(tmp_path / "whole")


def test_interrupted_while_writing_it_decodes_nothing_again(model: Bundle, tmp_path: Path) -> None:
    steps = render.render(LONG, tmp_path)
    while next(steps).stage != "write":
        pass
    steps.close()  # type: ignore[attr-defined]
    again = run(LONG, tmp_path)
    assert again[0].done == again[0].of == len(LONG.grid)
    assert SamplePack.load(tmp_path).zones
    assert not (tmp_path / render.WORK).exists()


def test_a_spoilt_block_is_made_again(model: Bundle, tmp_path: Path) -> None:
    steps = render.render(LONG, tmp_path)
    while next(steps).stage != "write":
        pass
    steps.close()  # type: ignore[attr-defined]
    block = next(tmp_path.rglob("*.npz"))
    block.write_bytes(block.read_bytes()[:1000])
    assert run(LONG, tmp_path)[0].done < len(LONG.grid)
    assert SamplePack.load(tmp_path).zones


def test_unknown_sounds_and_models(model: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean flute"):
        run(dataclasses.replace(PLAN, morph=Morph.between("floot", "bass", 0.5)), tmp_path)
    with pytest.raises(UnknownName, match="model"):
        run(dataclasses.replace(PLAN, model="nothing"), tmp_path)
    assert not list(tmp_path.glob("*.wav"))


def test_a_damaged_model_is_found_before_anything_is_made(model: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("weights.safetensors", "bank.safetensors"):
        home = tmp_path / file
        path = Path(shutil.copytree(model.folder, home / "models" / "harmonic")) / file
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(home))
        with pytest.raises(BundleError, match="damaged"):
            run(PLAN, tmp_path / "out")
        assert not list(tmp_path.glob("out/*.wav"))


def test_a_folder_that_cannot_be_written(model: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NsynthError, match="cannot write in .*--out"):
        run(PLAN, tmp_path / "file" / "pack")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_refuses(model: Bundle, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NsynthError, match="cannot write in .*--out"):
        run(PLAN, tmp_path / "pack")


def test_a_disk_without_room_is_said_at_once(model: Bundle, tmp_path: Path) -> None:
    huge = dataclasses.replace(PLAN, grid=NoteGrid(tuple(range(128)), tuple(range(1, 128))), seconds=30.0, rate=192000, bits=32)
    if shutil.disk_usage(tmp_path).free > 800e9:
        pytest.skip("this disk has room for everything")
    with pytest.raises(NsynthError, match=r"needs \d+\.\d GB .* are free; make room"):
        run(huge, tmp_path)


def test_instruments_by_name_case_and_beginning(model: Bundle) -> None:
    bank = read_bank(model)
    assert find_instrument(bank, "Flute").name == "flute"
    assert find_instrument(bank, "pia").name == "piano"
    for name in ("pi", "", "zzz"):
        with pytest.raises(UnknownName):
            find_instrument(bank, name)


def test_a_runtime_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the shipped model, which has the graphs."""
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nsynth-instrument\[cpu\]'"):
        run(PLAN, tmp_path / "pack", runtime="onnx")
    assert not any(tmp_path.rglob("*.wav"))


def test_two_onnx_runtimes_over_each_other_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site" / "onnxruntime_gpu-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "onnxruntime_gpu-1.0.dist-info" / "METADATA").write_text("Name: onnxruntime-gpu\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(NsynthError, match="both installed.*pip uninstall"):
        run(PLAN, tmp_path / "pack", runtime="onnx")


def test_the_shipped_model_makes_notes_in_tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    plan = RenderPlan("x", Morph.between("flute", "trumpet", 0.5), NoteGrid((60, 72), (40, 100)))
    run(plan, tmp_path / "pack")
    rows = report(tmp_path / "pack")
    assert all(abs(float(r["cents_off"])) < 5 for r in rows)
    soft, loud = (float(r["loudness_lufs"]) for r in rows[:2])
    assert loud > soft + 3
