"""A set in the NSynth format from soundfonts: instrument by instrument, over processes, resumable.

An instrument is rendered wholly in memory, for its gain must be known before 16 bits are written: one gain, that
brings its loudest note to -1 dBFS, so that velocities keep their relation. What is finished is noted in
OUT/.build/NAME.json; examples.json lists finished instruments only, and is rewritten as they come, so that a set can
be used while it grows.
"""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import Audio, whole
from ..errors import DataError, NsynthError, UsageError
from .example import FAMILIES, SOURCES, SPLITS, Example
from .nsynth import read_listing, read_wav, write_listing, write_wav
from .plan import BuildPlan, Job
from .sf2 import sounding, zones

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
    done = {j.name: _finished(out, j) for j in jobs if _part(out, j).exists()}
    todo = [j for j in jobs if j.name not in done]
    notes = sum(map(len, done.values()))
    yield Progress(len(done), len(jobs), notes, "")
    listed = time.monotonic()
    try:
        for job in _rendered(out, todo, workers):
            done[job.name] = _finished(out, job)
            notes += len(done[job.name])
            if time.monotonic() - listed > _LISTING_EVERY:
                _list(out, jobs, done)
                listed = time.monotonic()
            yield Progress(len(done), len(jobs), notes, job.name)
    finally:
        _list(out, jobs, done)


def render(job: Job, folder: Path) -> Iterator[tuple[Example, Audio]]:
    """Each note of an instrument that sounds, with its audio (4 s * rate,), gain applied; `folder` will hold its file."""
    from .qualities import estimate
    from .soundfont import Player

    places = zones(job.soundfont, job.preset)
    with Player(job.soundfont) as player:
        player.select(job.preset.bank, job.preset.program)
        sounds = [(note, player.play(note, rate=job.rate)) for note in job.grid]
    peak = max(float(np.abs(a).max()) for _, a in sounds)
    if peak < FAINT:
        return
    for note, raw in sounds:
        sound = raw * np.float32(CEILING / peak)
        if float(np.abs(sound).max()) < SILENT:
            continue
        name = f"{job.name}-{note.pitch:03d}-{note.velocity:03d}"
        example = Example(
            note_str=name,
            note=job.number << 14 | note.pitch << 7 | note.velocity,
            instrument_str=job.name,
            instrument=job.number,
            pitch=note.pitch,
            velocity=note.velocity,
            sample_rate=job.rate,
            qualities=estimate(sound, rate=job.rate, pitch=note.pitch),
            instrument_family=FAMILIES.index(job.family),
            instrument_source=SOURCES.index(job.source),
            load=functools.partial(read_wav, folder / f"{name}.wav", job.rate),
            split=job.split,
            extra={
                "preset_name": job.preset.name,
                "soundfont": job.soundfont.name,
                "bank": job.preset.bank,
                "program": job.preset.program,
                "samples": sounding(places, note),
            },
        )
        yield example, sound


def _rendered(out: Path, jobs: list[Job], workers: int) -> Iterator[Job]:
    """Each job when it is finished; in this process when there is one worker."""
    if workers == 1:
        for job in jobs:
            _render_to(out, job)
            yield job
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    waiting: dict[Future[None], Job] = {}
    queue = iter(jobs)
    try:
        while True:
            for job in itertools.islice(queue, 2 * workers - len(waiting)):
                waiting[pool.submit(_render_to, out, job)] = job
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                future.result()
                yield waiting.pop(future)
    except BrokenProcessPool as e:
        raise NsynthError("a worker was ended by the system, perhaps for its memory; go on with fewer --workers") from e
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, which lets workers finish their instrument; and end when the parent was killed.

    Ctrl-C reaches the whole group. A worker that lost its parent would wait for work for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _render_to(out: Path, job: Job) -> None:
    folder = out / job.split / "audio"
    notes: list[Example] = []
    for example, sound in render(job, folder):
        write_wav(folder / f"{example.note_str}.wav", sound, rate=job.rate)
        notes.append(example)
    write_listing(_part(out, job), notes)


def _part(out: Path, job: Job) -> Path:
    """The list of an instrument's notes, which is there when all of them are."""
    return out / ".build" / f"{job.name}.json"


def _finished(out: Path, job: Job) -> list[Example]:
    notes: list[Example] = []
    for item in read_listing(_part(out, job), out / job.split / "audio", split=job.split):
        if isinstance(item, str):
            raise DataError(f"{item}; delete this file, and the instrument is rendered again")
        notes.append(item)
    return notes


def _claim(out: Path, plan: BuildPlan) -> None:
    """Note the options in a new folder, or see that they are those noted."""
    path, options = out / ".build" / "plan.json", json.loads(json.dumps(plan.described()))
    if path.exists():
        try:
            before = json.loads(path.read_text("utf-8"))
            changed = sorted(k for k in options if options[k] != before.get(k))
        except (ValueError, AttributeError) as e:
            raise DataError(f"{path} is damaged; build into another folder") from e
        if changed:
            raise UsageError(
                f"{out} was begun with other options ({', '.join(dict.fromkeys(map(_option, changed)))} differ); "
                "use the same ones to go on, or build into another folder"
            )
        return
    if any((out / split).exists() for split in SPLITS) or (out / "examples.json").exists():
        raise UsageError(f"{out} holds a set that was not built here; build into another folder")
    with whole(path) as part:
        part.write_text(json.dumps(options, indent=1), "utf-8")


def _option(field: str) -> str:
    """What the command line calls a field of BuildPlan."""
    known = {"grids": "pitches or --velocities", "only": "instruments", "soundfonts": "soundfont"}
    return "--" + (known | {"valid": "split", "test": "split"}).get(field, field).replace("_", "-")


def _list(out: Path, jobs: tuple[Job, ...], done: dict[str, list[Example]]) -> None:
    """Write each split's examples.json, instruments in the order of their numbers."""
    for split in SPLITS:
        mine = sorted((j for j in jobs if j.split == split and j.name in done), key=lambda j: j.number)
        (out / split / "audio").mkdir(parents=True, exist_ok=True)
        write_listing(out / split / "examples.json", (note for j in mine for note in done[j.name]))
