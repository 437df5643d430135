"""A plan becomes a pack: every note decoded once and kept, then all of them written with one gain.

In the pack's folder, `.work/FINGERPRINT/` holds the notes that are decoded, and `.work/pack/` the files that are written;
those move to their places in the end, and `.work` goes. Whatever stops a render, the next one goes on from there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import platform
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import __version__, audio, bundle, repitch
from .audio import Audio
from .bank import Instrument, InstrumentBank
from .bundle import Bundle
from .codecs import Among, Codec
from .codes import FRAME_RATE, Morph, frames_for
from .errors import NsynthError, UsageError
from .executors.local import BESIDE, Arrays, Blocks, fill
from .executors.processes import Helpers, spare
from .finishing import FACTS, finished
from .instruments import read_bank, resolve
from .mixing import Mixer
from .notes import Area, Note, NoteGrid
from .pack import WORK, Loop, SamplePack, Zone
from .preset import RenderPlan
from .report import README, REPORT, Measured, read_report, summary, write_readme, write_report
from .runtimes import apart, open_codec
from .target import complete, free_for, publish, room, stamps, there
from .writers import FORMATS, write_formats
from .writers.names import sample_file
from .writers.parallel import ordered
from .writers.sums import add_sums, read_sums, write_sums
from .writers.wav import write_wav

PEAK = 10 ** (-1 / 20)
"""Of full scale: the loudest frame of a pack, -1 dBFS."""
BLOCK = 10_000_000
"""Frames that are decoded at once, and kept together: 40 MB; a few blocks are in memory at a time, however long the notes."""
LARGEST = 40_000_000
"""Frames of a block that holds all positions of a note: 160 MB; so many fewer blocks are then in hand."""
BETWEEN = 9
"""Positions between a morph's ends that are heard, at most, when its notes are brought in tune."""
DITHER = 0x0D17
"""What a note's dither has in place of its seed's low bits, so as not to follow the decoder's noise."""


@dataclass(frozen=True)
class Progress:
    """One step: `done` of `of` in `stage` ("decode", "write", or a format); `words`, if any, are for people."""

    stage: str
    done: int
    of: int
    words: str = ""


def render(
    plan: RenderPlan,
    folder: Path,
    *,
    runtime: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    beside: InstrumentBank | None = None,
    helpers: Helpers | None = None,
) -> Iterator[Progress]:
    """Render `plan` into the pack's folder; yields the progress, and ends when the pack is whole.

    A pack of the same sound that is there already stays (a format that it lacks is added). `beside` holds instruments that
    the plan names and the model's bank has not: a user's own. helpers: what `spare` started for this module, if it was
    started before. Raises NsynthError for all that a user can mend, among it a folder that holds another pack, unless
    `force` replaces it.
    """
    found = bundle.find(plan.model)
    bank = InstrumentBank.of([*read_bank(found), *(beside or ())])
    plan = dataclasses.replace(plan, morph=resolve(plan.morph, bank))
    fingerprint = plan.fingerprint(found.fingerprint + (hashlib.sha256(beside.to_bytes()).hexdigest() if beside else ""))
    old = there(folder)
    if old is not None and old.versions.get("fingerprint") == fingerprint and complete(old, folder):
        yield Progress("decode", plan.count, plan.count, f"{folder} holds this pack already; nothing to render")
        yield from _add(old, plan, bank, folder)
        return
    if not force:
        free_for(plan, folder, old)
    room(plan, folder)
    blocks = Blocks(folder / WORK / f"{fingerprint[:24]}-{__version__}", plan.count)
    makers = (threads or os.cpu_count() or 1) if apart(found, runtime, device) else 1
    with helpers or spare(plan.count if makers > 1 else 0, threads, __name__) as them:
        job = _job(plan, found, bank, blocks, runtime, device, threads, makers)
        yield Progress("decode", sum(map(len, blocks.done())), blocks.count, f"{plan.model} on {job.codec.runtime}")
        yield from job.decode(them, runtime, device)
    staged = folder / WORK / "pack"
    shutil.rmtree(staged, ignore_errors=True)
    pack, rows = yield from job.write(staged, fingerprint)
    yield from _formats(pack, staged, plan.formats)
    write_report(rows, staged / REPORT)
    _readme(pack, rows, plan, bank, staged)
    pack.save(staged)
    write_sums(staged, known={z.file: z.sha256 for z in pack.zones})
    publish(staged, folder)
    yield Progress("done", blocks.count, blocks.count, summary(rows))


def warm() -> None:
    """Finish a note, so that all is compiled, and loaded, that this takes; who asks a helper compiles what comes before it."""
    note, plan = Note(60, 100), RenderPlan("warm", Morph.between("a", "b", 0.5), NoteGrid((60,), (100,)))
    turns = 2 * np.pi * note.hz / plan.rate * np.arange(round(plan.seconds * plan.rate))
    sound = (0.1 * np.sin(turns) + 0.1 * np.sin(2 * turns)).astype(np.float32)
    list(finished(plan, note, [sound], plan.rate, [0]))


def _formats(pack: SamplePack, folder: Path, formats: Sequence[str]) -> Iterator[Progress]:
    for step in write_formats(pack, folder, formats):
        yield Progress(step.format, step.done, step.of)


def _readme(pack: SamplePack, rows: Sequence[Measured], plan: RenderPlan, bank: InstrumentBank, folder: Path) -> None:
    mixtures = [_mixture(morph, bank) for _, morph in plan.places]
    maps = [f"{name}: {FORMATS[name].label}; checked with {FORMATS[name].checked}" for name in plan.formats]
    write_readme(pack, rows, folder / README, plan=plan.to_toml(), mixtures=mixtures, maps=maps)


def _add(pack: SamplePack, plan: RenderPlan, bank: InstrumentBank, folder: Path) -> Iterator[Progress]:
    """Write the formats of a plan that its finished pack lacks into that."""
    had = [f for f in pack.plan.get("formats", ()) if f in FORMATS]
    if not (formats := [f for f in plan.formats if f not in had]):
        return
    before = stamps(folder)
    yield from _formats(pack, folder, formats)
    pack = dataclasses.replace(pack, plan={**pack.plan, "formats": [*had, *formats]})
    readme = folder / README
    mine = readme.is_file() and read_sums(folder).get(README) == bundle.sha256(readme)  # and nobody has written in it since
    if mine and (rows := read_report(pack, folder / REPORT)):
        _readme(pack, rows, dataclasses.replace(plan, formats=(*had, *formats)), bank, folder)
    pack.save(folder)
    add_sums(folder, [path for path, stamp in stamps(folder).items() if before.get(path) != stamp])


def _job(
    plan: RenderPlan, found: Bundle, bank: InstrumentBank, blocks: Blocks,
    runtime: str, device: str, threads: int | None, makers: int,
) -> _Job:  # fmt: skip
    """Raises UsageError for a length that the model cannot make, and as `open_codec`."""
    codec = open_codec(found, runtime, threads=1 if makers > 1 else threads, device=device)
    if codec.frames and plan.seconds > codec.frames / FRAME_RATE:
        longest = f"{codec.frames / FRAME_RATE:g}"
        raise UsageError(f"{plan.model} makes notes of {longest} s and no others; use --seconds {longest} or less")
    return _Job(plan, found, bank if codec.pitched else repitch.as_recorded(bank), codec, blocks, threads, makers)


def _elsewhere(*args: Any) -> Callable[[range], range]:
    """For a helper: what makes a block, given what `_job` is."""
    return _job(*args).maker()


@dataclass(frozen=True)
class _Job:
    """What the two passes over the notes share. makers: how many blocks are made at once, each by one core."""

    plan: RenderPlan
    found: Bundle
    bank: InstrumentBank
    codec: Codec
    blocks: Blocks
    threads: int | None
    makers: int

    def decode(self, helpers: Helpers, runtime: str, device: str) -> Iterator[Progress]:
        """First pass: every note that is not kept yet, decoded, finished and kept."""
        kept = sum(map(len, self.blocks.done()))
        size, threads = self.block()
        if self.makers > 1:
            few = InstrumentBank.of([self.bank[name] for name in self.plan.morph.names])
            what = self.plan, self.found, few, self.blocks, runtime, device, 1, self.makers
            done = helpers.share(self.blocks.missing(size), self.maker(), min(self.makers, threads), _elsewhere, *what)
        else:
            done = fill(self.blocks, *self.steps(), size=size, threads=threads)
        try:
            for run in done:
                kept += len(run)
                yield Progress("decode", kept, self.blocks.count)
        finally:
            done.close()  # and its processes end
            self.blocks.tidy()

    def maker(self) -> Callable[[range], range]:
        """What makes a block and keeps it."""
        make, finish = self.steps()
        return lambda run: self.blocks.put(run, finish(run, make(run)))

    def steps(self) -> tuple[Callable[[range], list[Audio]], Callable[[range, list[Audio]], Arrays]]:
        """What decodes the notes of a run, and what finishes them."""
        plan, frames = self.plan, self.codec.frames or frames_for(self.plan.seconds)
        mixer = Mixer(self.bank, self.codec, frames, spherical=plan.interpolation == "spherical")
        jobs = self.jobs()
        mixing = threading.Lock()  # levels that several blocks need are asked for once

        def make(run: range) -> list[Audio]:
            moved = [self.moved(*jobs[i]) for i in run]
            with mixing:
                among = self.among(mixer, [jobs[i] for i in run]) if len(plan.places) > 1 else None
                mixed = mixer.mix([self.asked(*jobs[i]) for i in run])
            notes = [jobs[i][1].note for i in run]
            return self.codec.decode(
                [repitch.slowed(m.codes, by) for m, by in zip(mixed, moved, strict=True)], notes,
                seed=plan.seed, temperature=plan.temperature, detail=[m.detail for m in mixed], level=[m.level for m in mixed],
                among=among,
            )  # fmt: skip

        def finish(run: range, made: list[Audio]) -> Arrays:
            sounds, facts = [], []
            for area, some in itertools.groupby(run, lambda i: jobs[i][1]):
                here = list(some)
                raw = [made[i - run.start] for i in here]
                moved = [self.moved(*jobs[i]) for i in here]
                for sound, fact in finished(plan, area.note, raw, self.codec.rate, moved):
                    sounds.append(sound)
                    facts.append(fact)
            return {"audio": np.stack(sounds), "facts": np.array(facts, FACTS)}

        return make, finish

    def jobs(self) -> list[tuple[int, Area]]:
        """All notes, in the order in which they are kept: those that fade into each other, one for each position, together."""
        return [(k, area) for area in self.plan.grid.zones() for k in range(len(self.plan.places))]

    def block(self) -> tuple[int, int]:
        """How many notes are made at once, whole sets of positions if they are not too much, and in how many threads."""
        frames, positions = self.plan.seconds * max(self.plan.rate, self.codec.rate), len(self.plan.places)
        size = max(1, min(self.codec.batch, int(BLOCK / frames)))
        if self.makers > 1:  # none is to wait long for the last
            size = min(size, -(-self.blocks.count // (4 * self.makers)))
        if positions > 1 and positions * frames <= LARGEST:
            size = max(1, size // positions) * positions
        return size, max(1, min(self.threads or os.cpu_count() or 1, int(4 * LARGEST / (size * frames))))

    def moved(self, k: int, area: Area) -> int:
        """Semitones by which what is decoded is moved to its key."""
        return 0 if self.codec.pitched else repitch.shift(_heard(self.plan.places[k][1], self.bank), area.note.pitch)

    def asked(self, k: int, area: Area) -> tuple[Morph, Note]:
        """What is mixed for a note: the morph, and the note that is known."""
        return self.plan.places[k][1], Note(area.note.pitch - self.moved(k, area), area.note.velocity)

    def among(self, mixer: Mixer, jobs: Sequence[tuple[int, Area]]) -> list[Among]:
        """Where each note stands among the positions of its key and velocity."""
        places = [at for at, _ in self.plan.places]
        axes = [sorted(set(column)) for column in zip(*places, strict=True)]
        corners = [k for k, at in enumerate(places) if set(at) <= {0.0, 1.0}]
        between = [k for k in range(len(places)) if k not in corners]
        between = between[:: max(1, -(-len(between) // BETWEEN))]
        mixed = {area: mixer.mix([self.asked(k, area) for k in corners + between]) for area in dict.fromkeys(a for _, a in jobs)}
        steps = [[along.index(x) for along, x in zip(axes, at, strict=True)] for at in places]
        at = [(s[0], s[1] if len(axes) > 1 else 0) for s in steps]
        known = {area: [(at[k], m) for k, m in zip(corners + between, some, strict=True)] for area, some in mixed.items()}
        return [Among(at[k], dict(known[area][: len(corners)]), dict(known[area][len(corners) :])) for k, area in jobs]

    def write(self, folder: Path, fingerprint: str) -> Generator[Progress, None, tuple[SamplePack, list[Measured]]]:
        """Second pass: all notes as WAV files in `folder`, with one gain."""
        plan, runs, jobs = self.plan, self.blocks.done(), self.jobs()
        facts = np.concatenate([self.blocks.get(r, "facts") for r in runs])
        gain = PEAK / _loudest(facts["peak"])
        titles = [_mixture(morph, self.bank) for _, morph in plan.places]

        def write(i: int) -> list[Zone]:
            kept = self.blocks.get(runs[i], "audio")
            return [one(*jobs[n], kept[n - runs[i].start], facts[n]) for n in runs[i]]

        def one(k: int, area: Area, sound: Audio, fact: Any) -> Zone:
            note, file = area.note, sample_file(plan.name, area.note, position=k, positions=len(titles))
            loop = Loop(int(fact["start"]), int(fact["end"])) if fact["end"] > 0 else None
            written = write_wav(
                folder / file, sound * np.float32(gain), plan.rate, bits=plan.bits, root=note.pitch, loop=loop,
                low_key=area.low_key, high_key=area.high_key, low_velocity=area.low_velocity, high_velocity=area.high_velocity,
                title=titles[k], licence=self.found.licence, rng=note.rng(plan.seed ^ DITHER) if plan.bits < 32 else None,
            )  # fmt: skip
            return Zone(
                file, note.pitch, note.velocity, area.low_key, area.high_key, area.low_velocity, area.high_velocity,
                written.frames, position=plan.places[k][0], loop=loop, peak=written.peak, sha256=written.sha256,
            )  # fmt: skip

        zones: list[Zone] = []
        twice = 2 * (os.cpu_count() or 1)  # half of them wait for the disk
        for some in ordered(write, range(len(runs)), threads=min(self.threads or twice, BESIDE)):
            zones += some
            yield Progress("write", len(zones), self.blocks.count)
        louder = audio.db(gain)
        # In the pack, position by position.
        order = sorted(range(len(jobs)), key=lambda n: jobs[n][0])
        zones, facts = [zones[n] for n in order], facts[order]
        rows = [
            Measured(
                Note(z.root, z.velocity), z.file, f["cents"], f["loudness"] + louder, z.peak, z.loop is not None, z.position,
                int(f["shift"]),
            )
            for z, f in zip(zones, facts, strict=True)
        ]
        return self.pack(tuple(zones), fingerprint, release=float(np.median(facts["release"]))), rows

    def pack(self, zones: tuple[Zone, ...], fingerprint: str, *, release: float) -> SamplePack:
        """The pack's description."""
        plan, model, title = self.plan, self.found, _title(self.plan, self.bank)
        instruments = [self.bank[name] for name in plan.morph.names]
        return SamplePack(
            plan.name, title, plan.rate, plan.bits, zones, release, tuple(at for at, _ in plan.places), licence=model.licence,
            sources=(*(f"{i.title} ({i.licence})" for i in instruments), *bundle.distinct(model.sources)),
            description=f"Decoded from mixed NSynth codes by the model {model.name} ({model.kind}); no recording is in it.",
            plan=plan.to_dict(),
            versions={
                "nsynth-instrument": __version__, "model": f"{model.name} {model.fingerprint[:16]}",
                "runtime": self.codec.runtime, "numpy": np.__version__, "python": platform.python_version(),
                "fingerprint": fingerprint,
            },
        )  # fmt: skip


def _heard(morph: Morph, bank: InstrumentBank) -> list[Instrument]:
    """The instruments of a morph that are in it at any time."""
    return [bank[name] for name, course in morph.courses.items() if max(course) > 0]


def _loudest(peaks: npt.NDArray[np.floating]) -> float:
    loudest = float(peaks.max())
    if loudest < 1e-6:
        raise NsynthError("the model made silence; choose other sounds, or another --model")
    return loudest


def _title(plan: RenderPlan, bank: InstrumentBank) -> str:
    """The pack's name for people: that of its mixture, or 'Flute to Acoustic Bass', or 'Piano, Strings, Choir, Organ'."""
    ends = [bank[n].title for n in plan.morph.names]
    return _mixture(plan.morph, bank) if plan.steps == 1 else (" to " if len(ends) == 2 else ", ").join(ends)


def _mixture(morph: Morph, bank: InstrumentBank) -> str:
    """'75 % Flute, 25 % Acoustic Bass'; where it moves, the first and the last joined by 'to'."""
    words = []
    for row in zip(*morph.courses.values(), strict=True):
        parts = [(w, bank[n].title) for n, w in zip(morph.names, row, strict=True) if w]
        words.append(parts[0][1] if len(parts) == 1 else ", ".join(f"{100 * w:.0f} % {t}" for w, t in parts))
    return words[0] if len(words) == 1 else f"{words[0]} to {words[-1]}"
