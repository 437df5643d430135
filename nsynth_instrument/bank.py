"""Banks: the remembered codes of many notes of many instruments, and how to ask for a note between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .codes import DIMS
from .errors import DataError, UnknownName
from .notes import Note

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Instrument:
    """A named sound: the codes of the notes that it is known by, in no grid, one note or hundreds.

    name: unique in a bank; family, source: NSynth's words; title: for people; licence: of the recordings;
    pitches, velocities: int (notes,); codes: float32 (notes, frames, 16);
    detail: what the network does not say of each note, in the codec's own form, arrays (notes, ...); between: whether
    codes between two known pitches mean a pitch between them, else the nearer one answers alone.
    """

    name: str
    family: str
    source: str
    title: str
    licence: str
    pitches: npt.NDArray[np.int16]
    velocities: npt.NDArray[np.int16]
    codes: Floats
    detail: dict[str, npt.NDArray[np.generic]] | None = None
    between: bool = True

    def __post_init__(self) -> None:
        n = len(self.pitches)
        if n == 0 or len(self.velocities) != n or self.codes.shape[0] != n or self.codes.ndim != 3 or self.codes.shape[2] != DIMS:
            raise DataError(f"instrument {self.name} is malformed: {n} pitches, codes {self.codes.shape}; export the bank again")

    def around(self, note: Note) -> tuple[tuple[int, float], ...]:
        """Indices and weights (sum 1) of the known notes that answer for `note`.

        Bilinear: the nearest known pitch at or below and above, and in each the nearest velocities at or
        below and above. Outside the range the nearest note alone.
        """
        if (answer := self._answers.get(note)) is None:
            answer = self._answers[note] = tuple(self._around(note))
        return answer

    @cached_property
    def _answers(self) -> dict[Note, tuple[tuple[int, float], ...]]:
        """What `around` has said: each note of a pack asks several times."""
        return {}

    def _around(self, note: Note) -> Iterator[tuple[int, float]]:
        known = np.unique(self.pitches)
        pitch = note.pitch if self.between else int(known[np.abs(known.astype(int) - note.pitch).argmin()])
        for p, wp in _bracket(known, pitch):
            here = np.flatnonzero(self.pitches == p)
            for v, wv in _bracket(np.unique(self.velocities[here]), note.velocity):
                yield int(here[self.velocities[here] == v][0]), wp * wv

    def at(self, note: Note) -> Floats:
        """Codes float32 (frames, 16) for any note, known or not; see `around`."""
        around = self.around(note)
        mean: Floats = np.sum([self.codes[i] * np.float32(w) for i, w in around], axis=0, dtype=np.float32)
        return mean


def _bracket(known: npt.NDArray[np.integer], wanted: int) -> Iterator[tuple[int, float]]:
    """The neighbours of `wanted` in ascending `known`, with weights for linear interpolation; one if it is outside or known."""
    at = int(np.searchsorted(known, wanted))
    if at == len(known):
        yield int(known[-1]), 1.0
    elif at == 0 or known[at] == wanted:
        yield int(known[at]), 1.0
    else:
        low, high = int(known[at - 1]), int(known[at])
        w = (wanted - low) / (high - low)
        yield low, 1.0 - w
        yield high, w


@dataclass(frozen=True)
class InstrumentBank:
    """Instruments by name, in one file that belongs to one model.

    Stored as safetensors: per instrument `NAME/pitch`, `NAME/velocity` int16 (notes,), `NAME/codes` int8
    (notes, frames, 16) with `NAME/scale` float32 (16,), and `NAME/detail/...` as the codec made it; names and
    licences in the header. Eight bits leave codes in +-3 an error of 0.012, an eighth of the noise that the
    decoders are trained with.
    """

    instruments: dict[str, Instrument]

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.instruments.values())

    def __getitem__(self, name: str) -> Instrument:
        """Raises UnknownName with the nearest names."""
        if name not in self.instruments:
            raise UnknownName("instrument", name, self.instruments)
        return self.instruments[name]

    def to_bytes(self) -> bytes:
        """The bank as the contents of a safetensors file."""
        from safetensors.numpy import save

        tensors: dict[str, npt.NDArray[np.generic]] = {}
        meta: dict[str, dict[str, str]] = {}
        for i in self:
            scale = np.maximum(np.abs(i.codes).max(axis=(0, 1)), 1e-6).astype(np.float32) / np.float32(127)
            tensors[f"{i.name}/pitch"] = i.pitches.astype(np.int16)
            tensors[f"{i.name}/velocity"] = i.velocities.astype(np.int16)
            tensors[f"{i.name}/codes"] = np.rint(i.codes / scale).astype(np.int8)
            tensors[f"{i.name}/scale"] = scale
            for k, v in (i.detail or {}).items():
                tensors[f"{i.name}/detail/{k}"] = np.ascontiguousarray(v)
            meta[i.name] = {"family": i.family, "source": i.source, "title": i.title, "licence": i.licence}
        return bytes(save(tensors, metadata={"instruments": json.dumps(meta)}))

    @classmethod
    def read(cls, path: Path) -> InstrumentBank:
        """Raises DataError when the file is not a bank or is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as f:
                meta = json.loads((f.metadata() or {})["instruments"])
                keys = list(f.keys())
                return cls({name: _load(f, keys, name, m) for name, m in meta.items()})
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as e:
            raise DataError(f"{path} is not a bank of instruments, or is damaged ({e}); install or export the model again") from e

    @classmethod
    def of(cls, instruments: Iterable[Instrument]) -> InstrumentBank:
        """A bank of the given instruments; a later one replaces an earlier one of its name."""
        return cls({i.name: i for i in instruments})


def _load(f: object, keys: list[str], name: str, meta: dict[str, str]) -> Instrument:
    get = f.get_tensor  # type: ignore[attr-defined]
    codes = get(f"{name}/codes").astype(np.float32) * get(f"{name}/scale")
    prefix = f"{name}/detail/"
    detail = {k[len(prefix) :]: get(k) for k in keys if k.startswith(prefix)}
    return Instrument(
        name, meta["family"], meta["source"], meta["title"], meta["licence"],
        get(f"{name}/pitch"), get(f"{name}/velocity"), codes, detail or None,
    )  # fmt: skip
