"""Sound files in and out, and the few operations on whole signals that every part shares.

Audio is float32, mono (frames,), full scale at +-1. soundfile and soxr live here and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import AudioError, NsynthError

Audio = npt.NDArray[np.float32]

LONGEST = 600.0
"""s; a longer file is not a note, and would fill the memory."""
MOST = 1 << 28
"""Frames of all channels together, 1 GB as they are read: a file that packs silence well may claim any number."""
HUGE = 1e4
"""Times full scale; what reaches further is no sound."""


def read(path: Path | str, *, rate: int | None = None) -> tuple[Audio, int]:
    """Mono audio (frames,) of a sound file and its rate in Hz; resampled when `rate` is given.

    Channels are averaged, or, where they would cancel one another, the loudest is taken. Raises AudioError when the file is
    missing, not a sound file, empty, longer than LONGEST or larger than MOST, or holds values that are not finite or no sound's.
    """
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as f:
            if f.frames > LONGEST * f.samplerate:
                raise AudioError(f"{path} lasts {f.frames / f.samplerate:.0f} s; cut it to one note of at most {LONGEST:.0f} s")
            if f.frames * f.channels > MOST:
                raise AudioError(f"{path} has {f.channels} channels at {f.samplerate} Hz, too much to be read; save it in stereo")
            data = f.read(dtype="float32", always_2d=True)
            found = int(f.samplerate)
    except FileNotFoundError as e:
        raise AudioError(f"there is no file {path}") from e
    except UnicodeEncodeError as e:
        raise AudioError(f"{str(path)!r} has letters in its name that are no text in {e.encoding}; rename the file") from e
    except (soundfile.LibsndfileError, OSError, RuntimeError) as e:
        if not Path(path).exists():
            raise AudioError(f"there is no file {path}") from e
        raise AudioError(f"{path} cannot be read as sound ({e}); use WAV, AIFF, FLAC, OGG or MP3") from e
    if not len(data):
        raise AudioError(f"{path} holds no sound, or is cut off: it has 0 frames")
    if not np.isfinite(data).all():
        raise AudioError(f"{path} is damaged: it holds values that are not numbers; export it again")
    if (peak := float(np.abs(data).max())) > HUGE:
        raise AudioError(f"{path} is damaged: it reaches {peak:.0e} times full scale; export it again")
    audio = np.ascontiguousarray(_mono(data), dtype=np.float32)
    if rate is not None and rate != found:
        return resample(audio, found, rate), rate
    return audio, found


def _mono(data: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mean of channels (frames, channels), or the loudest one where the mean has less than a quarter of their power."""
    mean = data.mean(axis=1)
    power = np.einsum("fc,fc->c", data, data, dtype=np.float64)
    cancel = float(np.dot(mean, mean)) < 0.25 * float(power.mean())
    return np.asarray(data[:, int(np.argmax(power))] if cancel else mean)


def piece(path: Path | str, start: int, frames: int, *, rate: int) -> Audio:
    """`frames` frames of a sound file at `rate` Hz from frame `start`, which may lie before its beginning; silence around it.

    Only these are read if the file has that rate and one channel. Raises AudioError as `read` does.
    """
    import soundfile

    before, start = max(0, -start), max(0, start)
    try:
        with soundfile.SoundFile(str(path)) as f:
            if f.samplerate == rate and f.channels == 1:
                f.seek(min(start, f.frames))
                there = f.read(max(0, frames - before), dtype="float32")
                return np.pad(there, (before, frames - before - len(there)))
    except (soundfile.LibsndfileError, OSError, RuntimeError):
        pass  # `read` says what is wrong
    there = read(path, rate=rate)[0][start : start + max(0, frames - before)]
    return np.pad(there, (before, frames - before - len(there)))


def encode(audio: npt.NDArray[np.float32 | np.int32], rate: int, *, kind: str, bits: int = 24) -> bytes:
    """Sound (frames,) or (frames, channels) as the bytes of a FLAC, OGG (Vorbis) or MP3 file, by `kind`; the call runs
    beside other threads, and equal sound gives equal bytes.

    float32 in +-1, or, for FLAC that must be exact, int32 whose upper `bits` (16 or 24) count.
    """
    import io

    import soundfile

    buffer = io.BytesIO()
    subtype = {"FLAC": f"PCM_{bits}", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}[kind]
    channels = 1 if audio.ndim == 1 else audio.shape[1]
    with soundfile.SoundFile(buffer, "w", rate, channels, subtype, format=kind) as f:
        for start in range(0, len(audio), 1 << 14):  # libsndfile's Vorbis encoder overflows its stack on long writes
            f.write(audio[start : start + (1 << 14)])
    return _unserialised(buffer.getvalue()) if kind == "OGG" else buffer.getvalue()


_FLIPPED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _unserialised(ogg: bytes) -> bytes:
    """An Ogg file of one stream with that stream's number, which libsndfile draws by the clock, at 0 (RFC 3533, section 6).

    A page's checksum is that of zlib with all bits in the other order, and neither start nor end inverted.
    """
    out, at = bytearray(ogg), 0
    while at < len(out):
        length = 27 + out[at + 26] + sum(out[at + 27 : at + 27 + out[at + 26]])
        out[at + 14 : at + 18] = out[at + 22 : at + 26] = bytes(4)
        checksum = zlib.crc32(bytes(out[at : at + length]).translate(_FLIPPED), 0xFFFFFFFF) ^ 0xFFFFFFFF
        out[at + 22 : at + 26] = struct.pack(">I", checksum).translate(_FLIPPED)
        at += length
    return bytes(out)


def resample(audio: npt.NDArray[Any], rate: float, to: float) -> Audio:
    """Audio (frames,) or (frames, channels) at another rate in Hz, by soxr at very high quality."""
    if rate == to:
        return np.asarray(audio, dtype=np.float32)
    import soxr

    return np.asarray(soxr.resample(np.asarray(audio, dtype=np.float32), rate, to, quality="VHQ"), dtype=np.float32)


def fade(audio: Audio, frames: int) -> Audio:
    """The same audio with its last `frames` frames brought to zero along a half cosine."""
    n = min(frames, len(audio))
    out = audio.copy()
    if n:
        out[len(out) - n :] *= (0.5 + 0.5 * np.cos(np.pi * (np.arange(n) + 1) / n)).astype(np.float32)
    return out


def fit(audio: Audio, frames: int) -> Audio:
    """Cut or pad with silence to exactly `frames` frames."""
    return audio[:frames] if len(audio) >= frames else np.pad(audio, (0, frames - len(audio)))


def db(ratio: float) -> float:
    """20 log10, floored at -200 dB."""
    return float(20.0 * np.log10(max(abs(ratio), 1e-10)))


@contextlib.contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` by rename when the block ends well.

    The file appears whole or not at all; its data is on the disk before its name is. On an
    exception nothing is left behind. A full disk, a folder that refuses or that is missing raises
    NsynthError with the cure.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    except OSError as e:
        raise NsynthError(f"cannot write in {path.parent} ({e.strerror}); choose another folder") from e
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except OSError as e:
        raise NsynthError(f"cannot write {path} ({e.strerror or e}); free some space or choose another folder") from e
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
