"""DecentSampler: a `.dspreset` beside the samples, with a panel of knobs.

Each morph position is a group. The first axis turns the groups' volumes and the second the volumes of tags that groups
share, so that in a square of four corners the two multiply; CC1 and CC2 turn the knobs. Velocity layers tile: the player
has no fade between them. Loops end at the last frame played, as in a Zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..audio import whole
from ..pack import SamplePack, Zone
from .layers import axes, by_position, fade
from .names import position_name, safe
from .sfz import AXIS_CC
from .xml import Value, document, element

_STEPS = 16
"""Straight pieces by which a table follows a quarter of a cosine; the power strays by less than 0.03 dB."""


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.dspreset` into the pack's folder, over its WAV files."""
    path = folder / f"{safe(pack.name)}.dspreset"
    with whole(path) as part:
        part.write_text(preset(pack), "utf-8", newline="\n")
    return path


def preset(pack: SamplePack) -> str:
    """The preset's text; the squares of the positions' gains add to one."""
    grid, layers = axes(pack), by_position(pack)
    fading = [i for i, along in enumerate(grid) if len(along) > 1]
    names = ["Morph"] if len(fading) == 1 else [f"Morph {'XY'[i]}" for i in range(len(fading))]
    first, *others = fading or [0]
    fades = [[_turn(_group(k), p[first], grid[first]) for k, (p, _) in enumerate(layers)]] if fading else []
    fades += [[_turn(_tagged(_tag(i, at)), at, grid[i]) for at in grid[i]] for i in others]
    knobs = [_knob(40 + 110 * n, names[n], 1.0, 0.0, *bindings) for n, bindings in enumerate(fades)]
    left = 40 + 110 * len(knobs)
    knobs.append(_knob(left, "Attack", 4.0, 0.002, _instrument("ENV_ATTACK")))
    knobs.append(_knob(left + 110, "Release", 10.0, pack.release, _instrument("ENV_RELEASE")))
    knobs.append(_knob(left + 220, "Volume", 1.0, 1.0, _instrument("AMP_VOLUME")))
    controls = [
        element("cc", element("binding", type="control", level="ui", position=n, parameter="VALUE", translation="linear",
                              translationOutputMin=0, translationOutputMax=1), number=AXIS_CC[n])
        for n in range(len(fading))
    ]  # fmt: skip
    groups = []
    for position, zones in layers:
        tags: dict[str, Value] = {"tags": ",".join(_tag(i, position[i]) for i in others)} if others else {}
        starts = all(position[i] == grid[i][0] for i in fading[:1])
        samples = [_sample(z) for z in sorted(zones, key=lambda z: (z.root, z.velocity))]
        name = position_name(position) if fading else pack.title or pack.name
        groups.append(element("group", *samples, name=name, volume=1.0 if starts else 0.0, ampVelTrack=0, text="", **tags))
    parts = [element("ui", element("tab", *knobs, name="main"), width=812, height=375)]
    parts.append(element("groups", *groups, attack=0.002, decay=0, sustain=1, release=pack.release, ampVelTrack=0))
    if controls:
        parts.append(element("midi", *controls))
    if others:
        rows = [(_tag(i, at), 1.0 if at == grid[i][0] else 0.0) for i in others for at in grid[i]]
        parts.append(element("tags", *(element("tag", name=name, volume=volume) for name, volume in rows)))
    return document(element("DecentSampler", *parts, minVersion="1.11.0"))


def _group(k: int) -> dict[str, Value]:
    return {"level": "group", "position": k}


def _tagged(tag: str) -> dict[str, Value]:
    return {"level": "tag", "identifier": tag}


def _turn(what: dict[str, Value], at: float, along: Sequence[float]) -> str:
    """What a knob does to the volume of a group, or of a tag."""
    turned: dict[str, Value] = {"type": "amp", **what, "parameter": "AMP_VOLUME", "translation": "table"}
    return element("binding", **turned, text="", translationTable=_table(at, along))


def _table(at: float, along: Sequence[float]) -> str:
    """Gain by knob, as `in,out;...`: a quarter of a sine up and of a cosine down."""
    f = fade(at, along)
    bend = np.linspace(0, 1, _STEPS + 1)
    points = {0.0: float(f.rise is None), 1.0: float(f.fall is None), at: 1.0}
    if f.rise is not None:
        points |= {float(f.rise[0] + (at - f.rise[0]) * b): float(np.sin(np.pi / 2 * b)) for b in bend}
    if f.fall is not None:
        points |= {float(at + (f.fall[1] - at) * b): float(np.cos(np.pi / 2 * b)) for b in bend}
    return ";".join(f"{x:.5f},{abs(y):.5f}" for x, y in sorted(points.items()))


def _tag(axis: int, at: float) -> str:
    return f"axis{axis + 1}-{round(1000 * at)}"


def _knob(x: int, label: str, highest: float, value: float, *bindings: str) -> str:
    return element(
        "labeled-knob", *bindings, x=x, y=40, width=90, label=label, type="float", minValue=0, maxValue=highest, value=value
    )


def _instrument(parameter: str) -> str:
    return element("binding", type="amp", level="instrument", position=0, parameter=parameter)


def _sample(z: Zone) -> str:
    mapping: dict[str, Value] = {"rootNote": z.root, "loNote": z.low_key, "hiNote": z.high_key}
    mapping |= {"loVel": 0 if z.low_velocity == 1 else z.low_velocity, "hiVel": z.high_velocity}
    mapping["loopEnabled"] = z.loop is not None
    if z.loop is not None:
        mapping |= {"loopStart": z.loop.start, "loopEnd": z.loop.end, "loopCrossfade": 0}
    return element("sample", text="", path=z.file, **mapping)
