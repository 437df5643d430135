"""The command `check`: silent about sound packs, and finding each fault that was put into one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import packs
import pytest
import soundfile
from click.testing import CliRunner, Result

from nsynth_instrument.pack import Loop, SamplePack
from nsynth_instrument.writers import writer
from nsynth_instrument.writers.commands import check
from nsynth_instrument.writers.sums import write_sums
from nsynth_instrument.writers.wav import write_wav


def run(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(check, [str(folder), *options])


def faults(folder: Path) -> list[tuple[str, str]]:
    """(check, text) of each fault that --json tells; the exit code agrees."""
    done = run(folder, "--json")
    data = json.loads(done.stdout)
    assert done.exit_code == (0 if data["ok"] else 1)
    assert data["ok"] == (not data["faults"])
    return [(f["check"], f["text"]) for f in data["faults"]]


def rewrite(folder: Path, pack: SamplePack, index: int, audio: np.ndarray, **header: object) -> None:
    """Put other sound into a zone's file, and its hash into the pack, so that only the sound is wrong."""
    zone = pack.zones[index]
    values = {"bits": pack.bits, "root": zone.root, "loop": zone.loop, **header}
    done = write_wav(folder / zone.file, audio.astype(np.float32), pack.rate, **values)
    changed = dataclasses.replace(zone, sha256=done.sha256, frames=done.frames, peak=done.peak)
    dataclasses.replace(pack, zones=(*pack.zones[:index], changed, *pack.zones[index + 1 :])).save(folder)


@pytest.fixture
def pack(tmp_path: Path) -> SamplePack:
    return packs.make(tmp_path, positions=((0.0,), (1.0,)))


def sound(folder: Path, pack: SamplePack, index: int) -> np.ndarray:
    return soundfile.read(folder / pack.zones[index].file)[0]


def test_a_sound_pack_is_well(tmp_path: Path, pack: SamplePack) -> None:
    assert faults(tmp_path) == []
    shown = run(tmp_path)
    assert shown.exit_code == 0
    assert "18 notes (3 keys x 3 velocities x 2 positions), 48000 Hz, 24 bit" in shown.stdout
    assert "18 loops" in shown.stdout and shown.stdout.rstrip().endswith("all is well")
    data = json.loads(run(tmp_path, "--json").stdout)
    assert len(data["measured"]) == 18 and all(m["loop"]["seamless"] for m in data["measured"])


def test_missing_and_damaged_files_are_found(tmp_path: Path, pack: SamplePack) -> None:
    (tmp_path / pack.zones[0].file).unlink()
    (tmp_path / pack.zones[1].file).write_bytes(b"RIFF\0\0\0\0WAVE")
    path = tmp_path / pack.zones[2].file
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    (tmp_path / pack.zones[3].file).write_bytes((tmp_path / pack.zones[4].file).read_bytes()[:-30000])
    found = faults(tmp_path)
    assert [kind for kind, _ in found].count("files") == 3
    assert ("hashes", "is not the file that was written; its sha256 differs") in found
    assert "exit" not in run(tmp_path).stdout and run(tmp_path).stdout.rstrip().endswith("faults")


def test_a_map_that_is_missing_or_changed_is_found(tmp_path: Path, pack: SamplePack) -> None:
    for name in ("sfz", "decentsampler"):
        writer(name)(pack, tmp_path)
    write_sums(tmp_path, known={})
    assert faults(tmp_path) == []
    (tmp_path / "Flute-Bass.sfz").unlink()
    (tmp_path / "Flute-Bass.dspreset").write_text("<DecentSampler/>")
    assert [kind for kind, _ in faults(tmp_path)] == ["files", "hashes"]


def test_a_gap_and_an_overlap_between_zones_are_found(tmp_path: Path, pack: SamplePack) -> None:
    zones = list(pack.zones)
    zones[0] = dataclasses.replace(zones[0], high_key=zones[0].high_key - 1)
    zones[9] = dataclasses.replace(zones[9], high_velocity=zones[9].high_velocity + 1)
    dataclasses.replace(pack, zones=tuple(zones)).save(tmp_path)
    texts = [text for kind, text in faults(tmp_path) if kind == "zones"]
    assert texts == [
        f"no zone answers key {pack.zones[0].high_key} at velocity 1",
        f"more than one zone answers key 0 at velocity {pack.zones[9].high_velocity + 1}",
    ]


def test_each_fault_of_sound_is_found(tmp_path: Path, pack: SamplePack) -> None:
    def kinds(index: int, audio: np.ndarray, **header: object) -> set[str]:
        pack.save(tmp_path)
        rewrite(tmp_path, pack, index, audio, **header)
        return {kind for kind, _ in faults(tmp_path)}

    x = sound(tmp_path, pack, 5)
    assert kinds(5, np.clip(4 * x, -1, 1)) >= {"clipping"}
    assert kinds(5, x + 0.01) == {"dc"}
    assert "silence" in kinds(5, 1e-5 * x)
    assert kinds(5, x, root=61) == {"headers"}
    assert kinds(5, x, loop=None) == {"headers"}
    assert kinds(5, 0.2 * x) == {"velocity"}
    t = np.arange(len(x)) / 48000
    assert "tuning" in kinds(5, 0.4 * np.sin(2 * np.pi * 265.5 * t))


@pytest.mark.parametrize(("shift", "word"), [(1, "cents"), (11, "cents")])
def test_a_loop_that_is_off_is_found(tmp_path: Path, pack: SamplePack, shift: int, word: str) -> None:
    zone = pack.zones[8]
    audio = sound(tmp_path, pack, 8)
    assert zone.loop is not None
    short = Loop(zone.loop.start, zone.loop.start + 3670 + shift)
    zones = (*pack.zones[:8], dataclasses.replace(zone, loop=short), *pack.zones[9:])
    changed = dataclasses.replace(pack, zones=zones)
    rewrite(tmp_path, changed, 8, audio)
    found = [text for kind, text in faults(tmp_path) if kind == "loops"]
    assert len(found) == 1 and word in found[0]


def test_what_is_no_pack_is_refused_in_one_sentence(tmp_path: Path) -> None:
    from nsynth_instrument.errors import DataError

    with pytest.raises(DataError, match="not a pack"):
        CliRunner().invoke(check, [str(tmp_path)], catch_exceptions=False)
    (tmp_path / "pack.json").write_text('{"format": 1, "zones": [{"file": "../../etc/passwd"}]}')
    with pytest.raises(DataError, match="damaged"):
        CliRunner().invoke(check, [str(tmp_path)], catch_exceptions=False)
