"""WAVs: the sampler chunks byte by byte, every depth and rate through libsndfile, dither."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from riff import chunks, inner

from nsynth_instrument.errors import UsageError
from nsynth_instrument.notes import Note
from nsynth_instrument.pack import Loop
from nsynth_instrument.writers.wav import write_wav


def test_the_sampler_chunks_of_a_wav_byte_by_byte(tmp_path: Path) -> None:
    write_wav(
        tmp_path / "a.wav", np.zeros(5, np.float32), 48000, bits=24, root=60, loop=Loop(1, 3), low_key=58, high_key=61,
        low_velocity=38, high_velocity=62, title="Flute", comment="no", licence="CC0-1.0", date="2026-01-02",
    )  # fmt: skip
    found = chunks((tmp_path / "a.wav").read_bytes())
    assert list(found) == [b"fmt ", b"data", b"smpl", b"inst", b"bext", b"INFO"]
    assert found[b"fmt "].hex(" ", 2) == "0100 0100 80bb 0000 8032 0200 0300 1800"
    assert found[b"smpl"].hex(" ", 4) == " ".join([
        "00000000", "00000000", "61510000",  # manufacturer, product, period 20833 ns
        "3c000000", "00000000", "00000000", "00000000",  # root 60, fraction 0, SMPTE
        "01000000", "00000000",  # one loop
        "00000000", "00000000", "01000000", "03000000", "00000000", "00000000",  # forward, frames 1..3 played, for ever
    ])  # fmt: skip
    assert found[b"inst"].hex() == "3c00003a3d263e"
    assert found[b"bext"][:6] == b"Flute\0" and found[b"bext"][320:330] == b"2026-01-02"
    assert b"W=24" in found[b"bext"][602:]
    assert inner(found[b"INFO"]) | {b"ISFT": b""} == {
        b"INAM": b"Flute\0", b"ICMT": b"no\0", b"ICOP": b"CC0-1.0\0", b"ICRD": b"2026-01-02\0", b"ISFT": b"",
    }  # fmt: skip


@pytest.mark.parametrize(("bits", "subtype"), [(16, "PCM_16"), (24, "PCM_24"), (32, "FLOAT")])
@pytest.mark.parametrize("rate", [44100, 48000, 88200, 96000])
def test_libsndfile_reads_every_depth_and_rate(tmp_path: Path, bits: int, subtype: str, rate: int) -> None:
    x = (0.9 * np.sin(np.arange(1001) * 0.1)).astype(np.float32)
    written = write_wav(tmp_path / "a.wav", x, rate, bits=bits, root=61, loop=Loop(10, 900), rng=Note(61).rng(0))
    with soundfile.SoundFile(tmp_path / "a.wav") as f:
        assert (f.subtype, f.samplerate, f.frames) == (subtype, rate, 1001)
        back, dump = f.read(dtype="float32"), f.extra_info
    assert re.search(r"Midi Note\s*:\s*61", dump)
    assert re.search(r"Start\s*:\s*10\s+End\s*:\s*900", dump)
    assert "inst : 7" in dump
    assert np.abs(back - x).max() <= (0 if bits == 32 else 1.51 * 2.0 ** (1 - bits))
    assert written.peak == pytest.approx(np.abs(back).max(), abs=1e-7)


def test_dither_is_triangular_white_enough_and_the_notes_own(tmp_path: Path) -> None:
    x = np.full(200000, 0.3 / 32768, np.float32)
    a, b = (write_wav(tmp_path / f"{i}.wav", x, 48000, bits=16, root=60, rng=Note(60).rng(1)) for i in range(2))
    assert a.sha256 == b.sha256
    noise = soundfile.read(tmp_path / "0.wav", dtype="int16")[0].astype(float)
    assert noise.mean() == pytest.approx(0.3, abs=0.01)  # a constant below one step survives
    assert noise.std() == pytest.approx(0.5, abs=0.01)  # sqrt(2/12 + 1/12)


def test_what_is_too_loud_is_clipped_and_never_wraps(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([2, -2, 1, -1], np.float32), 48000, bits=16, root=60)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [32767, -32767, 32767, -32767]
    with pytest.raises(UsageError, match="8-bit"):
        write_wav(tmp_path / "b.wav", np.zeros(4, np.float32), 48000, bits=8, root=60)
