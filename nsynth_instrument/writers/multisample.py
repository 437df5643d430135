"""`.multisample`, the open format of Bitwig and PreSonus (github.com/bitwig/multisample): XML and WAVs in one archive.

A loop stops after the last frame played, one later than in a Zone. Velocity layers fade into each other, and so do
morph positions, along `select`; positions of two axes follow each other row by row, since `select` has one axis.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..pack import SamplePack, Zone
from .archive import write_archive
from .layers import Fade, by_position, fade, layers_alike, velocity_fades
from .names import position_name, safe
from .xml import document, element

_COLOURS = ("d92e24", "249ed9", "44c8a0", "d9a424", "9a5ad9")


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.multisample` into the pack's folder."""
    texts = {"multisample.xml": description(pack, alike=layers_alike(pack, folder))}
    files = {PurePosixPath(z.file).name: folder / z.file for z in pack.zones}
    return write_archive(folder / f"{safe(pack.name)}.multisample", texts=texts, files=files)


def description(pack: SamplePack, *, alike: bool) -> str:
    """The text of `multisample.xml`; `alike` velocity layers fade over their whole distance."""
    positions = by_position(pack)
    last = max(1, len(positions) - 1)
    places = [round(127 * k / last) for k in range(len(positions))]
    groups: list[str] = []
    samples: list[str] = []
    for k, (position, zones) in enumerate(positions):
        name = position_name(position) if len(positions) > 1 else pack.title or pack.name
        groups.append(element("group", name=name, color=_COLOURS[k % len(_COLOURS)]))
        fades = velocity_fades(zones, alike=alike)
        ordered = sorted(zones, key=lambda z: (z.root, z.velocity))
        samples += [_sample(z, k, fades[z.root, z.velocity], fade(places[k], places)) for z in ordered]
    return document(
        element(
            "multisample",
            element("generator", text="nsynth-instrument"),
            element("category", text="Synth"),
            element("creator", text=", ".join(pack.sources) or "nsynth-instrument"),
            element("description", text=" ".join(filter(None, (pack.description, pack.licence)))),
            element("keywords", *(element("keyword", text=word) for word in ("synth", *pack.sources))),
            *groups,
            *samples,
            name=pack.title or pack.name,
        )
    )


def _sample(z: Zone, group: int, layer: Fade, place: Fade) -> str:
    loop = element("loop", mode="off", start=0.0, stop=float(z.frames), fade=0.0)
    if z.loop is not None:
        loop = element("loop", mode="loop", start=float(z.loop.start), stop=float(z.loop.end + 1), fade=0.0)
    return element(
        "sample",
        element("key", root=z.root, tune=0.0, track=1.0, low=z.low_key, high=z.high_key, low_fade=0, high_fade=0),
        _range("velocity", layer, 1),
        _range("select", place, 0),
        loop,
        file=PurePosixPath(z.file).name, gain=0.0, group=group, parameter_1=0.0, parameter_2=0.0, parameter_3=0.0,
        reverse=False, sample_start=0.0, sample_stop=float(z.frames), zone_logic="always-play",
    )  # fmt: skip


def _range(name: str, f: Fade, lowest: int) -> str:
    low, full = f.rise or (lowest, lowest)
    falls, high = f.fall or (127, 127)
    return element(name, low=int(low), high=int(high), low_fade=int(full - low), high_fade=int(high - falls))
