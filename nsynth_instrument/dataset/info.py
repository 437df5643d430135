"""What is in a set of notes, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..errors import AudioError, DataError
from .example import FAMILIES, QUALITIES, SOURCES, Example
from .nsynth import Dataset


def listened(data: Dataset, *, every: bool) -> Iterator[tuple[Example, float | str]]:
    """Seconds of sound of notes, or what is wrong with it: of every note, or of the first of each instrument."""
    for note in data if every else [data[places[0]] for places in data.instruments.values()]:
        try:
            yield note, len(note.audio()) / note.sample_rate
        except (AudioError, DataError) as e:
            yield note, str(e)


def described(data: Dataset) -> str:
    """Counts of a set: splits, rates, pitches, velocities, families by sources, qualities; several lines."""
    if not len(data):
        return "no notes"
    lines = []
    for split in dict.fromkeys(n.split for n in data):
        notes = [n for n in data if n.split == split]
        instruments = len({n.instrument_str for n in notes})
        lines.append(f"{split or 'all':12}{_count(len(notes), 'note')}, {_count(instruments, 'instrument')}")
    pitches, velocities = {n.pitch for n in data}, sorted({n.velocity for n in data})
    shown = ", ".join(map(str, velocities)) if len(velocities) <= 12 else f"{velocities[0]}..{velocities[-1]}"
    lines.append(f"{'rate':12}{', '.join(f'{r} Hz' for r in sorted({n.sample_rate for n in data}))}")
    lines.append(f"{'pitches':12}{min(pitches)}..{max(pitches)}, {len(pitches)} of them")
    lines.append(f"{'velocities':12}{shown}")
    return "\n".join([*lines, "", *_families(data), "", *_qualities(data)])


def _families(data: Dataset) -> list[str]:
    """Instruments and notes of each family and source."""
    notes: Counter[tuple[int, int]] = Counter()
    instruments: Counter[tuple[int, int]] = Counter()
    for places in data.instruments.values():
        first = data[places[0]]
        kind = (first.instrument_family, first.instrument_source)
        notes[kind] += len(places)
        instruments[kind] += 1
    lines = [f"{'notes (instruments)':20}" + "".join(f"{s:>16}" for s in (*SOURCES, "all"))]
    for i, family in enumerate((*FAMILIES, "all")):
        rows = range(len(FAMILIES)) if family == "all" else [i]
        cells = []
        for j in (*range(len(SOURCES)), None):
            kinds = [(r, c) for r in rows for c in (range(len(SOURCES)) if j is None else [j])]
            cells.append(f"{sum(notes[k] for k in kinds)} ({sum(instruments[k] for k in kinds)})")
        lines.append(f"{family:20}" + "".join(f"{c:>16}" for c in cells))
    return lines


def _qualities(data: Dataset) -> list[str]:
    counts = [sum(n.qualities[i] for n in data) for i in range(len(QUALITIES))]
    return [f"{name:20}{count:>9}{100 * count / len(data):6.1f} %" for name, count in zip(QUALITIES, counts, strict=True)]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
