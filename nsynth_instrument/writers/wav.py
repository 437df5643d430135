"""WAV with what samplers look for: root key and loop (`smpl`), ranges (`inst`), origin (`bext`) and LIST/INFO.

Chunks: Microsoft RIFF MCI (1994) for `smpl` and `inst`; EBU Tech 3285 for `bext`. The extra chunks follow the
audio, where even readers that expect `data` right after `fmt ` find theirs.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import __version__
from ..audio import Audio, whole
from ..dsp.dither import pack
from ..dsp.normal import uniform
from ..errors import UsageError
from ..pack import BITS, Loop, SamplePack
from .riff import chunk


@dataclass(frozen=True)
class Written:
    """frames: length; peak: largest magnitude in the file, of full scale; sha256: of the whole file."""

    frames: int
    peak: float
    sha256: str


def write_wav(
    path: Path,
    audio: Audio,
    rate: int,
    *,
    bits: int,
    root: int,
    loop: Loop | None = None,
    low_key: int = 0,
    high_key: int = 127,
    low_velocity: int = 1,
    high_velocity: int = 127,
    title: str = "",
    comment: str = "",
    licence: str = "",
    date: str = "",
    rng: np.random.Generator | None = None,
) -> Written:
    """Write mono audio (frames,) in +-1 as a WAV file that appears whole or not at all.

    `rate` in Hz; `bits` 16, 24 (integer) or 32 (float); `root` the MIDI key of the untransposed sound; `date` as
    YYYY-MM-DD, or nothing, so that equal plans give equal files. With `rng`, integers get TPDF dither of 2 LSB
    peak to peak; without, they are rounded. Values beyond full scale are clipped. Raises UsageError for other `bits`.
    """
    if bits not in BITS:
        raise UsageError(f"{bits}-bit WAV is not written; use 16, 24 or 32 (float)")
    raw, peak = quantise(audio, bits, rng=rng)
    width = bits // 8
    if bits == 32:
        head = chunk(b"fmt ", struct.pack("<HHIIHHH", 3, 1, rate, rate * width, width, bits, 0))
        head += chunk(b"fact", struct.pack("<I", len(audio)))
    else:
        head = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, rate * width, width, bits))
    tail = _smpl(rate, root, loop)
    tail += chunk(b"inst", struct.pack("<BbbBBBB", root, 0, 0, low_key, high_key, low_velocity, high_velocity))
    tail += _bext(title, date, rate, bits)
    tail += _info(title, comment, licence, date)
    body = len(raw) + (len(raw) & 1)
    head = b"RIFF" + struct.pack("<I", 12 + len(head) + body + len(tail)) + b"WAVE" + head
    parts = (head, b"data" + struct.pack("<I", len(raw)), raw, b"\0" * (len(raw) & 1), tail)
    digest = hashlib.sha256()
    with whole(path) as part, part.open("wb") as f:
        for piece in parts:
            f.write(piece)
            digest.update(piece)
    return Written(len(audio), peak, digest.hexdigest())


def quantise(audio: Audio, bits: int, *, rng: np.random.Generator | None = None) -> tuple[bytes, float]:
    """Little-endian samples of (frames,) audio in +-1, and their peak of full scale.

    TPDF dither is the difference of successive uniform numbers: triangular, 2 LSB wide, one draw a frame, and its
    noise leans to high frequencies (Wannamaker, "The theory of dithered quantization", 1997).
    """
    if bits == 32:
        return np.asarray(audio, dtype="<f4").tobytes(), float(np.abs(audio).max(initial=0.0))
    full = float(2 ** (bits - 1))
    dither = np.empty(0, np.float32) if rng is None else uniform(rng, len(audio) + 1)
    out = np.empty((len(audio), bits // 8), np.uint8)
    peak = pack(np.asarray(audio), dither, full, out)
    return out.tobytes(), peak / full


def write(pack: SamplePack, folder: Path) -> Path:
    """The folder that holds the pack's WAV files, which are there since they were rendered."""
    return (folder / pack.zones[0].file).parent if pack.zones else folder


def _smpl(rate: int, root: int, loop: Loop | None) -> bytes:
    """`smpl`: the loop's end is the last frame played; type 0 = forward, count 0 = for ever."""
    body = struct.pack("<9I", 0, 0, round(1e9 / rate), root, 0, 0, 0, int(loop is not None), 0)
    if loop is not None:
        body += struct.pack("<6I", 0, 0, loop.start, loop.end, 0, 0)
    return chunk(b"smpl", body)


def _bext(title: str, date: str, rate: int, bits: int) -> bytes:
    history = f"A=PCM,F={rate},W={bits},M=mono,T=nsynth-instrument {__version__}\r\n"
    body = _text(title, 256) + _text("nsynth-instrument", 32) + bytes(32) + _text(date, 10)
    body += _text("00:00:00" if date else "", 8) + struct.pack("<IIH", 0, 0, 1) + bytes(64) + bytes(190)
    return chunk(b"bext", body + history.encode("ascii"))


def _info(title: str, comment: str, licence: str, date: str) -> bytes:
    texts = {"INAM": title, "ICMT": comment, "ICOP": licence, "ICRD": date, "ISFT": f"nsynth-instrument {__version__}"}
    entries = (chunk(k.encode(), v.encode("utf-8") + b"\0") for k, v in texts.items() if v)
    return chunk(b"LIST", b"INFO" + b"".join(entries))


def _text(text: str, size: int) -> bytes:
    return text.encode("ascii", "replace")[:size].ljust(size, b"\0")
