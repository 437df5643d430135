"""Sound files in and out, and files that appear whole or not at all."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nsynth_instrument import audio
from nsynth_instrument.errors import AudioError, NsynthError


def sine(rate: int, seconds: float = 0.5, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_24"), ("aiff", "PCM_16")]
)
def test_read_gives_back_what_was_written(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sine(44100), 44100, subtype=subtype)
    found, rate = audio.read(path)
    assert rate == 44100
    assert found.dtype == np.float32
    assert np.abs(found - sine(44100)).max() < 1e-4


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([sine(16000), np.zeros(8000)], axis=1), 16000, subtype="FLOAT")
    assert np.allclose(audio.read(path)[0], sine(16000) / 2)


def test_resampling_keeps_pitch_and_level(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(44100), 44100, subtype="FLOAT")
    found, rate = audio.read(path, rate=48000)
    assert (rate, len(found)) == (48000, 24000)
    assert np.abs(found - sine(48000))[1000:-1000].max() < 1e-4


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "cannot be read"), (b"RIFF", "cannot be read"), (b"hello" * 1000, "cannot be read"), (None, "no file")],
)
def test_what_is_no_sound_is_refused_in_words(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=words):
        audio.read(path)


def test_a_name_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    soundfile.write(tmp_path / "a.wav", sine(16000), 16000)
    (tmp_path / "a.wav").rename(path)
    with pytest.raises(AudioError, match="no text in utf-8; rename the file"):
        audio.read(path)


def test_empty_endless_and_broken_sounds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    for samples, rate, words in (
        (np.zeros(0), 8000, "0 frames"),
        (np.zeros(int(8000 * audio.LONGEST) + 1), 8000, "cut it"),
        (np.array([0.0, np.nan]), 8000, "not numbers"),
        (np.array([0.0, np.inf]), 8000, "not numbers"),
    ):
        soundfile.write(path, samples, rate, subtype="FLOAT")
        with pytest.raises(AudioError, match=words):
            audio.read(path)


def test_a_small_file_that_claims_more_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, np.zeros((4000, 8), np.int16), 48000)
    assert audio.read(path)[1] == 48000
    monkeypatch.setattr(audio, "MOST", 8 * 4000 - 1)
    with pytest.raises(AudioError, match="8 channels"):
        audio.read(path)


def test_fade_ends_in_silence_and_leaves_the_rest() -> None:
    ones = np.ones(100, np.float32)
    out = audio.fade(ones, 10)
    assert (out[:90] == 1).all()
    assert out[-1] == 0
    assert (np.diff(out[89:]) < 0).all()
    assert (ones == 1).all()
    assert audio.fade(ones, 1000)[-1] == 0
    assert len(audio.fade(ones[:0], 5)) == 0


def test_fit_cuts_and_pads() -> None:
    a = np.arange(4, dtype=np.float32)
    assert audio.fit(a, 2).tolist() == [0, 1]
    assert audio.fit(a, 6).tolist() == [0, 1, 2, 3, 0, 0]


def test_db() -> None:
    assert audio.db(1.0) == 0
    assert audio.db(-0.5) == pytest.approx(-6.0206, abs=1e-4)
    assert audio.db(0.0) == -200


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    with audio.whole(path) as part:
        part.write_bytes(b"some")
        assert not path.exists()
    assert path.read_bytes() == b"some"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="stop"), audio.whole(path) as part:
        part.write_bytes(b"half")
        raise ValueError("stop")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NsynthError, match="No space left.*free some space"), audio.whole(tmp_path / "a.bin") as part:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NsynthError, match="cannot write in .*another folder"), audio.whole(tmp_path / "file" / "a.bin"):
        pass
