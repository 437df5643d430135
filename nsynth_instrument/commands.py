"""The commands `render` and `list`."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .codes import WEIGHTINGS, Course, Morph
from .errors import UsageError

if TYPE_CHECKING:
    from .bank import InstrumentBank
    from .codecs import Codec
    from .preset import RenderPlan

PACKS = Path("exports/packs")
"""Where packs go when no folder is named, below the folder one is in."""
_HALF = (0.5,)
_BENDS = 9
"""Most numbers of a course."""


FORMATS_HELP = """wav, sfz, flac (SFZ over FLAC), decentsampler, dslibrary, multisample, sf2, sf2-16, sf3, adv, xpm, or all;
adv and xpm are checked against descriptions only, by no player.  [default: sfz]"""
_DEVICES = ["auto", "cpu", "cuda", "tensorrt", "directml", "coreml"]


@click.command(epilog="Example: nsynth-instrument render --a flute --b bass --mix 0.25 --format sfz,sf2")
@click.option("--a", metavar="NAME", help="The first sound: an instrument of `list`, or a sound file.")
@click.option("--b", metavar="NAME", help="The second sound.")
@click.option("--mix", metavar="0..1", help="How much of the second: 0 is all A, 1 all B; 0:1 moves over a note.  [default: 0.5]")
@click.option("--c", metavar="NAME", help="A third sound; with --d, the four are corners: A B above, C D below.")
@click.option("--d", metavar="NAME", help="The fourth sound.")
@click.option("--x", metavar="0..1", help="From A and C to B and D; 0:1 moves over a note.  [default: 0.5]")
@click.option("--y", metavar="0..1", help="From A and B to C and D.  [default: 0.5]")
@click.option("--steps", type=int, metavar="N", help="N positions from A to B, or N x N between four, for the mod wheel.")
@click.option("--weighting", type=click.Choice(WEIGHTINGS), help="How four corners share a point.  [default: bilinear]")
@click.option("--interpolation", metavar="HOW", help="Between codes: linear or spherical.  [default: linear]")
@click.option("--preset", metavar="NAME|FILE", help="A plan to start from: one of `list`, or a TOML file.")
@click.option("--name", help="What to call the pack.  [default: after the sounds]")
@click.option("--grid", metavar="KEYS", help="keys (21-108), full (0-127), one key, 21-108, or 21-108/3.  [default: keys]")
@click.option("--velocities", metavar="V,V,...", help="Velocity layers.  [default: 25,50,75,100,127]")
@click.option("--seconds", type=float, help="Length of a note; it is let go 1 s before its end.  [default: 4]")
@click.option("--rate", type=int, metavar="HZ", help="Sample rate of the files.  [default: 48000]")
@click.option("--bits", type=int, help="16, 24 or 32 (float).  [default: 24]")
@click.option("--model", metavar="NAME", help="A model of `list`.  [default: harmonic]")
@click.option("--seed", type=int, help="Of what the model draws at random.  [default: 0]")
@click.option("--temperature", type=float, help="How lively: 0 is smooth, 1 natural.  [default: 1]")
@click.option("--loops/--no-loops", default=None, help="Loop notes that hold their level.  [default: loops]")
@click.option("--format", "formats", metavar="F,F,...", help=FORMATS_HELP)
@click.option("--preview/--no-preview", default=True, help="Add a phrase to hear (MP3) and a cover (PNG).  [default: preview]")
@click.option("--runtime", type=click.Choice(["auto", "kernel", "onnx", "torch"]), default="auto", show_default=True)
@click.option("--device", type=click.Choice(_DEVICES), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="Processor cores to use.  [default: all]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The pack's folder.  [default: exports/packs/NAME]")
@click.option("--force", is_flag=True, help="Replace another pack that is in the folder.")
@click.option("--plan", "only_plan", is_flag=True, help="Print the plan as TOML and render nothing.")
def render(
    *,
    out: Path | None,
    force: bool,
    only_plan: bool,
    preview: bool,
    runtime: str,
    device: str,
    threads: int | None,
    **options: Any,
) -> None:
    """Render what lies between sounds: every key and velocity, as a sample pack.

    Prints the pack's folder. An interrupted render goes on when the same command is run again; a finished one is not
    rendered twice.
    """
    plan = plan_of(**options)
    if only_plan:
        click.echo(plan.to_toml(), nl=False)
        return
    from .bundle import find
    from .executors.processes import spare
    from .progress import COMPILING, Bar, patience
    from .runtimes import apart

    folder = out or PACKS / plan.name
    count = plan.count if apart(find(plan.model), runtime, device) else 0
    # Before what takes most of a second to import.
    with spare(count, threads, f"{__package__}.render") as helpers, Bar(plan.seconds) as bar:
        from .render import render as steps

        own = _own(plan, runtime, device, threads)
        how = functools.partial(steps, runtime=runtime, device=device, threads=threads, force=force)

        def tell(words: str) -> None:
            if count:  # else the model itself is slow
                bar.show("decode", 0, plan.count, words)

        with patience(COMPILING, tell, after=8.0) as slow:
            for step in how(plan, folder, beside=own, helpers=helpers):
                bar.show(step.stage, step.done, step.of, step.words)
                if step.done:
                    slow.cancel()
    if preview:
        with patience(COMPILING, functools.partial(click.echo, err=True)):
            _preview(folder, threads)
    from .writers import unheard

    if untried := unheard(plan.formats):
        click.echo(f"{', '.join(untried)}: checked against descriptions only; no such player was at hand", err=True)
    click.echo(folder)


def _preview(folder: Path, threads: int | None) -> None:
    """A phrase and a cover for a pack that has none yet."""
    from concurrent.futures import ThreadPoolExecutor

    from .live.phrase import PREVIEW, write_preview
    from .preview.cover import COVER, write_cover
    from .writers.sums import add_sums

    lacking = [write for name, write in ((PREVIEW, write_preview), (COVER, write_cover)) if not (folder / name).exists()]
    if lacking:
        with ThreadPoolExecutor(threads) as pool:
            add_sums(folder, list(pool.map(lambda write: write(folder), lacking)))


def _own(plan: RenderPlan, runtime: str, device: str, threads: int | None) -> InstrumentBank | None:
    """The plan's sounds that are not the model's but the user's: captured instruments and files."""
    from .bundle import find
    from .capture import beside
    from .instruments import read_bank
    from .runtimes import open_codec

    model = find(plan.model)

    def codec() -> Codec:
        return open_codec(model, runtime, threads=threads, device=device)

    found = beside(plan.morph.names, model, read_bank(model), codec, tell=lambda line: click.echo(line, err=True))
    return found if found.instruments else None


def plan_of(
    *,
    preset: str | None,
    name: str | None,
    grid: str | None,
    velocities: str | None,
    formats: str | None,
    a: str | None,
    b: str | None,
    c: str | None,
    d: str | None,
    mix: str | None,
    x: str | None,
    y: str | None,
    steps: int | None,
    weighting: str | None,
    **others: Any,
) -> RenderPlan:
    """The plan that the options of `render` ask for, with full names. Raises UsageError if they contradict each other."""
    from .bundle import find
    from .capture import which
    from .instruments import read_bank
    from .notes import KEYBOARD, NoteGrid
    from .preset import RenderPlan, load
    from .writers import parse_formats

    change = {k: v for k, v in others.items() if v is not None}
    if formats is not None:
        change["formats"] = parse_formats(formats)
    if preset is None:
        morph, suffix = _morph((a, b, c, d), course("mix", mix), course("x", x), course("y", y), weighting)
        plan = RenderPlan("unnamed", morph, KEYBOARD)
    else:
        plan = load(preset)
        morph, suffix = _remix(plan.morph, (a, b, c, d, x, y), course("mix", mix))
    if (plan.steps if steps is None else steps) > 1 and not mix is x is y is None:
        raise UsageError("--steps renders the whole way between the sounds; leave --mix, --x and --y out, or --steps")
    if weighting is not None:
        change["weighting"] = weighting
    if steps is not None:
        change["steps"], suffix = steps, f"-{steps}steps" if steps > 1 else suffix
    if grid is not None or velocities is not None:
        layers = plan.grid.velocities if velocities is None else _numbers(velocities)
        change["grid"] = NoteGrid(plan.grid.pitches, layers) if grid is None else NoteGrid.parse(grid, layers)
    plan = dataclasses.replace(plan, morph=morph, **change)
    bank = read_bank(find(plan.model))
    plan = dataclasses.replace(plan, morph=plan.morph.renamed(lambda sound: which(sound, bank)))
    start = plan.name if preset else "-".join(Path(n).stem.replace("#", "-") for n in plan.morph.names)
    return dataclasses.replace(plan, name=name or start + suffix)


def course(option: str, text: str | None) -> Course | None:
    """`0.25` stays, `0:1` or `0:1:0.5` moves from number to number over a note. Raises UsageError for what is neither."""
    if text is None:
        return None
    try:
        values = tuple(float(v) for v in text.split(":"))
    except ValueError:
        values = ()
    if not 1 <= len(values) <= _BENDS:
        raise UsageError(f"--{option} {text!r} is neither a number such as 0.25 nor a course such as 0:1 or 0:1:0")
    return values


def _morph(
    names: tuple[str | None, ...], mix: Course | None, x: Course | None, y: Course | None, weighting: str | None
) -> tuple[Morph, str]:
    """The morph asked for, and what it adds to the default name."""
    a, b, c, d = names
    if a is None:
        raise UsageError("name what to render: --a and --b, or --preset; nsynth-instrument list shows what there is")
    if c is None and d is None:
        if x is not None or y is not None:
            raise UsageError("--x and --y place a sound between four; name --c and --d too, or use --mix")
        if weighting is not None:
            raise UsageError("--weighting is for four sounds; name --c and --d too")
        if b is None and mix is not None:
            raise UsageError("--mix is between two sounds; name the second with --b")
        return Morph.between(a, b or a, mix or _HALF), _suffix(mix)
    if b is None or c is None or d is None or mix is not None:
        raise UsageError("four sounds are --a, --b, --c and --d, placed by --x and --y; --mix is for two")
    return Morph.corners(a, b, c, d, x or _HALF, y or _HALF, weighting or WEIGHTINGS[0]), _suffix(x, y)


def _suffix(*places: Course | None) -> str:
    """What a pack's name says of where it lies: '-25', '-0to100', '-25-50'; nothing in the middle."""
    if all(p is None or p == _HALF for p in places):
        return ""
    return "".join("-" + "to".join(f"{100 * v:g}" for v in p or _HALF) for p in places)


def _remix(morph: Morph, others: tuple[str | None, ...], mix: Course | None) -> tuple[Morph, str]:
    """A preset's morph, at another mix if one is given."""
    if any(o is not None for o in others):
        raise UsageError("--preset names the sounds already; leave --a, --b, --c, --d, --x and --y out, or the preset")
    if mix is None:
        return morph, ""
    if len(morph.names) != 2:
        raise UsageError(f"--mix is between two sounds, and this preset has {len(morph.names)}")
    return Morph.between(*morph.names, mix), _suffix(mix) or "-50"


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(v) for v in text.split(",")}))
    except ValueError as e:
        raise UsageError(f"velocities {text!r} are not numbers with commas between them, such as 25,50,75,100,127") from e


@click.command("list")
@click.option("--model", metavar="NAME", help="Whose instruments to show.  [default: harmonic]")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def list_(*, model: str | None, as_json: bool) -> None:
    """Show the instruments of a model, the presets, and the models."""
    from .bundle import DEFAULT, find, installed
    from .capture.store import installed as captured
    from .instruments import read_bank
    from .notes import key_name
    from .preset import load, shipped

    model = model or DEFAULT
    bank = read_bank(find(model))
    own = captured()
    presets = {name: load(name) for name in shipped()}
    models = list(installed(lambda line: click.echo(line, err=True)))
    if as_json:
        click.echo(json.dumps({
            "instruments": [
                {
                    "name": i.name, "title": i.title, "family": i.family, "source": i.source, "licence": i.licence,
                    "notes": len(i.pitches), "low": int(i.pitches.min()), "high": int(i.pitches.max()),
                }
                for i in bank
            ] + [
                {
                    "name": s.about.name, "title": s.about.title, "family": s.about.family, "source": s.about.source,
                    "licence": s.about.licence, "notes": len(s.notes), "low": s.keys[0], "high": s.keys[1], "own": str(s.folder),
                }
                for s in own
            ],
            "presets": [{"name": n, "morph": p.to_dict()["morph"], "model": p.model} for n, p in presets.items()],
            "models": [
                {"name": b.name, "kind": b.kind, "rate": b.rate, "default": b.name == DEFAULT, "folder": str(b.folder)}
                for b in models
            ],
        }, indent=1))  # fmt: skip
        return
    if not bank.instruments:
        click.echo(
            f"{model} has no instruments of its own: name sound files or what you captured, or give it the shipped ones with: "
            f"nsynth-instrument bank {model}\n", err=True,
        )  # fmt: skip
    _table(
        ("instrument", "family", "source", "keys", "notes", "title"),
        [
            (i.name, i.family, i.source, f"{key_name(min(i.pitches))}..{key_name(max(i.pitches))}", len(i.pitches), i.title)
            for i in sorted(bank, key=lambda i: (i.family, i.name))
        ],
    )
    if own:
        _table(
            ("your own", "family", "source", "keys", "notes", "title"),
            [
                (s.about.name, s.about.family, s.about.source, "..".join(map(key_name, s.keys)), len(s.notes), s.about.title)
                for s in own
            ],
        )
    _table(("preset", "sounds"), [(n, _shares(p.morph)) for n, p in presets.items()])
    _table(
        ("model", "kind", "rate", ""),
        [(b.name, b.kind, f"{b.rate} Hz", "default" if b.name == DEFAULT else "") for b in models],
    )


def _shares(morph: Morph) -> str:
    return ", ".join(f"{name} {' to '.join(f'{w:.0%}' for w in course)}" for name, course in morph.courses.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    lines = [head, *([str(c) for c in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        click.echo("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
    click.echo()
