"""A set in the NSynth format from soundfonts: instrument by instrument, over processes, resumable.

An instrument is rendered wholly in memory, for its gain must be known before 16 bits are written: one gain, that
brings its loudest note to -1 dBFS, so that velocities keep their relation. What is finished is noted in
OUT/.build/NAME.json; examples.json lists finished instruments only, and is rewritten as they come, so that a set can
be used while it grows.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
import wave
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Audio, whole
from ..errors import DataError, UsageError
from .nsynth import FAMILIES, QUALITIES, SPLITS
from .plan import BuildPlan, Job, source_number

Examples = dict[str, dict[str, Any]]

CEILING = 10 ** (-1 / 20)
"""Peak of an instrument's loudest note: -1 dBFS."""

SILENT = 10 ** (-60 / 20)
"""A note whose peak stays below this, after the gain, is left out."""

FAINT = 1e-3
"""An instrument whose loudest note stays below this before the gain is left out: it waits for some controller."""

_LISTING_EVERY = 60.0
"""s between two writings of examples.json."""


@dataclass(frozen=True)
class Progress:
    """done, total: instruments; notes: written so far, finished earlier ones included; name: the latest instrument."""

    done: int
    total: int
    notes: int
    name: str


def build(out: Path, plan: BuildPlan, *, workers: int = 1) -> Iterator[Progress]:
    """Render what is missing of a plan into `out`, yielding after each instrument; the first yield tells what was there.

    Raises UsageError when `out` holds another build or other files, and what rendering raises.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers do nothing; use 1 or more")
    jobs = plan.jobs()
    _claim(out, plan)
    done = {j.name: _part(out, j) for j in jobs if _part_path(out, j).exists()}
    todo = [j for j in jobs if j.name not in done]
    notes = sum(map(len, done.values()))
    yield Progress(len(done), len(jobs), notes, "")
    listed = time.monotonic()
    try:
        for job in _rendered(out, todo, workers):
            done[job.name] = _part(out, job)
            notes += len(done[job.name])
            if time.monotonic() - listed > _LISTING_EVERY:
                _list(out, jobs, done)
                listed = time.monotonic()
            yield Progress(len(done), len(jobs), notes, job.name)
    finally:
        _list(out, jobs, done)


def render(job: Job) -> Iterator[tuple[str, dict[str, Any], Audio]]:
    """Name, examples.json entry and audio (4 s * rate,) of each note of an instrument that sounds, gain applied."""
    from .qualities import estimate
    from .soundfont import Player

    with Player(job.soundfont) as player:
        player.select(job.preset.bank, job.preset.program)
        sounds = [(note, player.play(note, rate=job.rate)) for note in job.grid]
    peak = max(float(np.abs(a).max()) for _, a in sounds)
    if peak < FAINT:
        return
    for note, audio in sounds:
        scaled = audio * np.float32(CEILING / peak)
        if float(np.abs(scaled).max()) < SILENT:
            continue
        name = f"{job.name}-{note.pitch:03d}-{note.velocity:03d}"
        qualities = estimate(scaled, rate=job.rate, pitch=note.pitch)
        yield (
            name,
            {
                "note": job.number << 14 | note.pitch << 7 | note.velocity,
                "note_str": name,
                "instrument": job.number,
                "instrument_str": job.name,
                "pitch": note.pitch,
                "velocity": note.velocity,
                "sample_rate": job.rate,
                "qualities": list(qualities),
                "qualities_str": [q for q, on in zip(QUALITIES, qualities, strict=True) if on],
                "instrument_family": FAMILIES.index(job.family),
                "instrument_family_str": job.family,
                "instrument_source": source_number(job),
                "instrument_source_str": job.source,
                "preset_name": job.preset.name,
                "soundfont": job.soundfont.name,
                "bank": job.preset.bank,
                "program": job.preset.program,
            },
            scaled,
        )


def _rendered(out: Path, jobs: list[Job], workers: int) -> Iterator[Job]:
    """Each job when it is finished; the first in this process when there is one worker."""
    if workers == 1:
        for job in jobs:
            _render_to(out, job)
            yield job
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_ignore_interrupts)
    waiting: dict[Future[None], Job] = {}
    queue = iter(jobs)
    try:
        while True:
            while len(waiting) < 2 * workers and (job := next(queue, None)):
                waiting[pool.submit(_render_to, out, job)] = job
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                future.result()
                yield waiting.pop(future)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches the whole group; only the parent acts on it, and lets the workers finish their instrument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _render_to(out: Path, job: Job) -> None:
    entries: Examples = {}
    for name, entry, audio in render(job):
        _write_wav(out / job.split / "audio" / f"{name}.wav", audio, job.rate)
        entries[name] = entry
    _write_json(_part_path(out, job), entries)


def _write_wav(path: Path, audio: Audio, rate: int) -> None:
    samples = np.clip(np.rint(audio * 32767.0), -32768, 32767).astype("<i2")
    with whole(path) as part, part.open("wb") as raw, wave.open(raw, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(samples.tobytes())


def _claim(out: Path, plan: BuildPlan) -> None:
    """Note the options in a new folder, or see that they are those noted."""
    path, options = out / ".build" / "plan.json", json.loads(json.dumps(plan.described(), default=str))
    if path.exists():
        try:
            before = json.loads(path.read_text("utf-8"))
            changed = sorted(k for k in options if options[k] != before.get(k))
        except (ValueError, AttributeError) as e:
            raise DataError(f"{path} is damaged; build into another folder") from e
        if changed:
            raise UsageError(
                f"{out} was begun with other options ({', '.join(changed)} differ); "
                "use the same ones to go on, or build into another folder"
            )
        return
    if any((out / split).exists() for split in SPLITS) or (out / "examples.json").exists():
        raise UsageError(f"{out} holds a set that was not built here; build into another folder")
    _write_json(path, options)
    for split in SPLITS:
        (out / split / "audio").mkdir(parents=True, exist_ok=True)


def _list(out: Path, jobs: tuple[Job, ...], done: dict[str, Examples]) -> None:
    """Write each split's examples.json, instruments in the order of their numbers."""
    for split in SPLITS:
        mine = sorted((j for j in jobs if j.split == split and j.name in done), key=lambda j: j.number)
        _write_json(out / split / "examples.json", {k: e for j in mine for k, e in done[j.name].items()})


def _part_path(out: Path, job: Job) -> Path:
    return out / ".build" / f"{job.name}.json"


def _part(out: Path, job: Job) -> Examples:
    path = _part_path(out, job)
    try:
        entries: Examples = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise DataError(f"{path} is damaged; delete it, and its instrument is rendered again") from e
    return entries


def _write_json(path: Path, value: object) -> None:
    with whole(path) as part:
        part.write_text(json.dumps(value, ensure_ascii=False, indent=1 if path.name == "plan.json" else None), "utf-8")
