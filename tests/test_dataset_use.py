"""What reads a set reads it in both forms: training, capture; damage is told by its offset, and left out when asked."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from nsynth_instrument.capture import sources
from nsynth_instrument.dataset import nsynth, tfrecord
from nsynth_instrument.dataset.example import from_entry
from nsynth_instrument.dataset.nsynth import Dataset, stream
from nsynth_instrument.errors import DataError, NsynthError, UsageError
from nsynth_instrument.training import features, recordings
from nsynth_instrument.training.features import rows


@pytest.fixture
def records(tones: Path, tmp_path: Path) -> Path:
    """The set of tones as TFRecords, one of them in two shards."""
    folder = tmp_path / "records"
    folder.mkdir()
    train, valid = list(Dataset.open(tones / "train")), Dataset.open(tones / "valid")
    tfrecord.write(folder / "nsynth-train.tfrecord-00000-of-00002", train[:9])
    tfrecord.write(folder / "nsynth-train.tfrecord-00001-of-00002", train[9:])
    tfrecord.write(folder / "nsynth-valid.tfrecord", valid)
    return folder


def kept(data: Path, cache: Path, **options: bool) -> dict[str, recordings.Recorded]:
    list(recordings.build(rows(data, **options), cache, rate=16000, hop=512, workers=1))
    return {i.name: i for i in recordings.load(cache)}


def test_training_hears_the_same_of_files_and_of_records(tones: Path, records: Path, tmp_path: Path) -> None:
    files, same = kept(tones, tmp_path / "a"), kept(records, tmp_path / "b")
    assert list(files) == list(same) == ["a", "b", "c"]
    for name, instrument in files.items():
        assert same[name].about["split"] == instrument.about["split"]
        np.testing.assert_array_equal(same[name].index, instrument.index)
        np.testing.assert_array_equal(same[name].audio, instrument.audio)


def test_folders_as_they_are_downloaded_have_their_splits(tones: Path, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        shutil.copytree(tones / split, tmp_path / f"nsynth-{split}")
    assert [n.split for n in Dataset.open(tmp_path)] == ["train"] * 16 + ["valid"] * 8
    assert {n.split for n in Dataset.open(tmp_path / "nsynth-valid")} == {"valid"}


def test_a_missing_shard_is_told(records: Path) -> None:
    (records / "nsynth-train.tfrecord-00000-of-00002").unlink()
    with pytest.raises(DataError, match="lacks shard 0 of 2"):
        Dataset.open(records)
    assert len(Dataset.open(records / "nsynth-train.tfrecord-00001-of-00002")) == 7


def test_a_damaged_record_stops_training_with_its_offset_or_is_left_out(records: Path, tmp_path: Path) -> None:
    file = records / "nsynth-valid.tfrecord"
    data = bytearray(file.read_bytes())
    length = len(data) // 8
    data[3 * length + length // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=rf"nsynth-valid.tfrecord: record at byte {3 * length}: .* checksum"):
        kept(records, tmp_path / "a")
    left = kept(records, tmp_path / "b", skip_damaged=True)
    assert [len(i.index) for i in left.values()] == [8, 8, 7]


def test_an_instrument_of_records_can_be_captured(records: Path) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        found = sources.read([f"{records}#b"], stack)
        assert [(t.pitch, t.velocity) for t in found.takes] == [(float(p), v) for p in (45, 46, 57, 69) for v in (50, 100)]
        audio, _ = found.takes[0].load()
    assert len(audio) == 24000
    assert (found.family, found.source) == ("flute", "acoustic")


def test_a_set_of_many_instruments_is_refused_before_it_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import ExitStack

    silence = np.zeros(16, np.float32)
    about = {"pitch": 60, "velocity": 100, "instrument_family": 0, "instrument_source": 0}
    notes = [from_entry(f"bass_{i:03d}-060-100", about, lambda: silence) for i in range(40)]
    tfrecord.write(tmp_path / "nsynth-train.tfrecord", notes)
    seen: list[object] = []

    def spied(*given: Any) -> Iterator[object]:
        for item in stream(*given):
            seen.append(item)
            yield item

    monkeypatch.setattr(nsynth, "stream", spied)
    with ExitStack() as stack:
        with pytest.raises(UsageError, match=r"tfrecord#NAME; it has bass_000, .*, bass_011, \.\.\.$"):
            sources.read([str(tmp_path / "nsynth-train.tfrecord")], stack)
        assert len(seen) == 13
        with pytest.raises(UsageError, match=r"has no instrument reed; it has bass_000, "):
            sources.read([f"{tmp_path}#reed"], stack)
        assert len(sources.read([f"{tmp_path}#bass_039"], stack).takes) == 1


def test_what_is_kept_is_said_before_and_fits_on_the_disk(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    found = rows(tones)
    list(recordings.build(found, tmp_path / "r", rate=16000, hop=512, workers=1, tell=told.append))
    count = sum(map(len, found.values()))
    assert told == [f"preparing {count} notes for training, once: up to {count * 128504 / 1e9:.2f} GB in {tmp_path / 'r'}"]
    kept = sum(f.stat().st_size for f in (tmp_path / "r").rglob("*.npy"))
    assert 0.98 < kept / (count * recordings.note_bytes(16000, 512)) < 1.03
    list(features.build(found, tmp_path / "f", workers=1))
    kept = sum(f.stat().st_size for f in (tmp_path / "f").rglob("*.npy"))
    assert 0.9 < kept / sum(features.note_bytes(r["pitch"]) for notes in found.values() for r in notes) < 1.1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(NsynthError, match="take 0.0 GB .* --cache"):
        list(recordings.build(found, tmp_path / "new", rate=16000, hop=512, workers=1))
    assert list(recordings.build(found, tmp_path / "r", rate=16000, hop=512, workers=1)) == []
