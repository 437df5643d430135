"""Packs as the engine loads them: whole or refused, in memory or beyond it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import livepacks
import numpy as np
import pytest
import soundfile
from engines import FLAT, RATE, off, on, play

from nsynth_instrument.errors import AudioError, DataError
from nsynth_instrument.live.engine import Engine
from nsynth_instrument.live.samples import check, find, load
from nsynth_instrument.pack import SamplePack


def test_a_pack_larger_than_memory_sounds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for kw in ({"looped": True}, {"looped": False}, {"looped": True, "rate": 44100}):
        folder = livepacks.make(tmp_path / f"{kw}", pitches=(48, 60), seconds=4.0, **kw)
        ram = load(folder, rate=RATE, budget=1 << 30)
        disk = load(folder, rate=RATE, budget=1000)
        assert ram.mapped == 0
        assert disk.mapped > 1 << 20
        assert disk.memory < 0.3 * ram.memory
        sounds = []
        for s in (ram, disk):
            e = Engine([s], settings=FLAT)
            x = [play(e, on(60), on(49), seconds=3.0), play(e, off(60), off(49), seconds=1.0)]
            e.prefetch()
            sounds.append(np.concatenate(x))
        assert np.array_equal(*sounds)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("missing", "lacks 1 of 3 files, the first is test_0_060_100.wav"),
        ("short", "frames at 48000 Hz"),
        ("garbage", "cannot be read as sound"),
        ("nan", "not numbers"),
        ("checksum", "checksum"),
        ("rate", "44100 Hz"),
        ("manifest", "damaged"),
        ("empty", "no zones"),
        ("traversal", "cannot be"),
    ],
)
def test_a_pack_that_is_not_whole_is_refused(tmp_path: Path, harm: str, words: str) -> None:
    folder = livepacks.make(tmp_path / "p", pitches=(58, 60, 62))
    file = folder / "test_0_060_100.wav"
    x, rate = soundfile.read(file, dtype="float32")
    pack = SamplePack.load(folder)
    if harm == "missing":
        file.unlink()
    elif harm == "short":
        file.write_bytes(file.read_bytes()[:-4000])
    elif harm == "garbage":
        file.write_bytes(b"RIFF" + os.urandom(4000))
    elif harm == "nan":
        x[100] = np.nan
        soundfile.write(file, x, rate, subtype="FLOAT")
    elif harm == "checksum":
        dataclasses.replace(pack, zones=tuple(dataclasses.replace(z, sha256="0" * 64) for z in pack.zones)).save(folder)
    elif harm == "rate":
        soundfile.write(file, x, 44100, subtype="FLOAT")
    elif harm == "manifest":
        (folder / "pack.json").write_text('{"format": 1, "zones": [{}]}')
    elif harm == "empty":
        dataclasses.replace(pack, zones=()).save(folder)
    elif harm == "traversal":
        dataclasses.replace(pack, zones=(dataclasses.replace(pack.zones[0], file="../x.wav"),)).save(folder)
    with pytest.raises((DataError, AudioError), match=words):
        load(folder, rate=RATE, budget=1 << 30)


def test_folders_of_packs_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        livepacks.make(tmp_path / "all" / name, pitches=(60,))
    assert [p.name for p in find([tmp_path / "all" / "c", tmp_path / "all"])] == ["c", "a", "b", "c"]
    assert check(tmp_path / "all" / "a").rate == RATE
    with pytest.raises(DataError, match="is no pack and holds none"):
        find([tmp_path])
