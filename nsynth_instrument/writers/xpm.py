"""Akai MPC's keygroup program, `.xpm`: XML in the folder of the samples, where the MPC looks for them.

Written from public descriptions of the format, and played by no one here: the MPC is closed. A keygroup has at most
eight layers and a program 128 keygroups. A looped layer ends with its loop, since the MPC loops to a layer's end; that
end is exclusive. A root note is stored one higher. The MPC has no live morph: each position is a program.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from ..audio import whole
from ..errors import UsageError
from ..pack import SamplePack, Zone
from .layers import by_position
from .names import safe
from .xml import Value, document, element

LAYERS = 8
KEYGROUPS = 128


def write(pack: SamplePack, folder: Path) -> Path:
    """Write a program for each position among the pack's samples; returns the first.

    Raises UsageError when the pack has more velocity layers than a keygroup takes.
    """
    paths = []
    for k, (_, zones) in enumerate(by_position(pack)):
        place = f"_p{k + 1}" if len(pack.positions) > 1 else ""
        path = (folder / zones[0].file).parent / f"{safe(pack.name)}{place}.xpm"
        with whole(path) as part:
            part.write_text(_program(pack, path.stem, zones), "utf-8", newline="\n")
        paths.append(path)
    return paths[0]


def _program(pack: SamplePack, name: str, zones: list[Zone]) -> str:
    groups: defaultdict[tuple[int, int], list[Zone]] = defaultdict(list)
    for z in sorted(zones, key=lambda z: (z.low_key, z.velocity)):
        groups[z.low_key, z.high_key].append(z)
    if len(groups) > KEYGROUPS or any(len(layers) > LAYERS for layers in groups.values()):
        raise UsageError(f"an MPC program takes {LAYERS} velocities; render fewer, or leave the format xpm out")
    instruments = [_instrument(pack, i, keys, layers) for i, (keys, layers) in enumerate(groups.items(), 1)]
    return document(
        element(
            "MPCVObject",
            element("Version", element("File_Version", text="2.1"), element("Platform", text="Linux")),
            element(
                "Program",
                element("ProgramName", text=name),
                element("KeygroupNumKeygroups", text=str(len(groups))),
                element("KeygroupPitchBendRange", text="0.16"),
                element("KeygroupWheelToLfo", text="0.000000"),
                element("Instruments", *instruments),
                type="Keygroup",
            ),
        )
    )


def _instrument(pack: SamplePack, number: int, keys: tuple[int, int], layers: list[Zone]) -> str:
    # Times are stored as logarithms between 1 ms and 100 s.
    release = float(np.clip(np.log10(pack.release / 0.001) / 5, 0.0, 1.0))
    fields: dict[str, Value] = {"LowNote": keys[0], "HighNote": keys[1], "IgnoreBaseNote": False}
    fields |= {"ZonePlay": 1, "TriggerMode": 2, "VelocitySensitivity": 0.0}  # by velocity, while the key is held
    fields |= {"VolumeAttack": 0.0, "VolumeHold": 0.0, "VolumeDecay": 0.0, "VolumeSustain": 1.0, "VolumeRelease": release}
    texts = [element(k, text=_text(v)) for k, v in fields.items()]
    rows = [element("Layer", *_layer(z), number=i) for i, z in enumerate(layers, 1)]
    return element("Instrument", *texts, element("Layers", *rows), number=number)


def _layer(z: Zone) -> list[str]:
    fields: dict[str, Value] = {
        "Active": True, "Volume": 0.707946, "Pan": 0.5, "Pitch": 0.0, "TuneCoarse": 0, "TuneFine": 0,
        "VelStart": z.low_velocity, "VelEnd": z.high_velocity, "SampleStart": 0, "SampleEnd": 0, "LoopStart": 0, "LoopEnd": 0,
        "LoopCrossfadeLength": 0, "LoopTune": 0, "RootNote": z.root + 1, "KeyTrack": True,
        "SampleName": PurePosixPath(z.file).stem, "SampleFile": "", "SliceIndex": 129, "Direction": 0, "Offset": 0,
        "SliceStart": 0, "SliceEnd": z.frames if z.loop is None else z.loop.end + 1, "SliceLoop": int(z.loop is not None),
        "SliceLoopStart": 0 if z.loop is None else z.loop.start, "SliceLoopCrossFadeLength": 0,
    }  # fmt: skip
    return [element(k, text=_text(v)) for k, v in fields.items()]


def _text(value: Value) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)
