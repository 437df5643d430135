"""Where there is a pack already, or what no pack made: it is left alone, mended or replaced, never by accident."""

import dataclasses
from pathlib import Path

import pytest
from plans import ONE, PLAN, contents, run

from nsynth_instrument.bundle import Bundle
from nsynth_instrument.errors import NsynthError
from nsynth_instrument.pack import SamplePack
from nsynth_instrument.writers.sums import read_sums


def test_a_finished_pack_is_left_alone(done: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in done.rglob("*")}
    steps = run(PLAN, done)
    assert "already" in steps[0].words
    assert {p: p.stat().st_mtime_ns for p in done.rglob("*")} == before


def test_but_gets_a_format_that_it_lacks(done: Path, tmp_path: Path) -> None:
    before, both = contents(done), dataclasses.replace(PLAN, formats=("sfz", "sf2"))
    run(both, done)
    after = contents(done)
    assert after.keys() - before.keys() == {"Flute-Bass.sf2"}
    assert {k for k in before if before[k] != after[k]} == {"pack.json", "README.txt", "SHA256SUMS"}
    run(both, tmp_path / "at once")
    assert (done / "README.txt").read_text() == (tmp_path / "at once/README.txt").read_text()
    assert read_sums(done) == {k: v for k, v in after.items() if k != "SHA256SUMS"}
    assert SamplePack.load(done).plan["formats"] == ["sfz", "sf2"]


def test_a_readme_in_which_someone_wrote_stays(done: Path) -> None:
    with (done / "README.txt").open("a") as f:
        f.write("bright: better above C3\n")
    run(dataclasses.replace(PLAN, formats=("sfz", "flac")), done)
    assert (done / "README.txt").read_text().endswith("bright: better above C3\n")
    assert SamplePack.load(done).plan["formats"] == ["sfz", "flac"]


def test_a_pack_that_lost_a_file_is_mended(done: Path) -> None:
    before = contents(done)
    (done / "Samples/Flute-Bass_060_C4_v100.wav").unlink()
    with pytest.raises(NsynthError, match="--force"):
        run(PLAN, done)
    run(PLAN, done, force=True)
    assert contents(done) == before


def test_another_plan_does_not_overwrite_it(done: Path) -> None:
    before = contents(done)
    other = dataclasses.replace(ONE, seed=1)
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
        run(ONE, folder)
    assert {p.name: p.read_text() for p in folder.iterdir()} == mine
    run(ONE, folder, force=True)
    assert (folder / "song.wav").read_text() == "mine"
    assert (folder / "README.txt").read_text() != "mine"


def test_interrupted_while_it_replaces_a_pack_it_leaves_none_of_its_files(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, replace = dataclasses.replace(ONE, name="Other"), Path.replace

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
