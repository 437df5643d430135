"""A small SoundFont 2 that tests make: looped single tones, written from the specification (2.04, section 7)."""

import struct
from pathlib import Path

import numpy as np

PERIOD = 100  # frames; at 44000 Hz that is A4
_RATE, _ROOT = 44000, 69
_RELEASE, _INSTRUMENT, _SAMPLE, _MODES = 38, 41, 53, 54


def chunk(kind, body):
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def tone(harmonics=1, level=0.5):
    t = np.arange(PERIOD * 40) * 2 * np.pi / PERIOD
    wave = sum(np.sin(t * k) / k for k in range(1, harmonics + 1))
    return level * wave / np.abs(wave).max()


def write_zoned(path: Path, waves, instruments, presets):
    """`waves`: in +-1, looped; `instruments`: zones each; `presets`: (bank, program, name, zones) each. A zone is a list of
    generators, (number, amount)."""
    smpl, heads = b"", []
    for wave in waves:
        start = len(smpl) // 2
        smpl += (np.asarray(wave) * 32767).astype("<i2").tobytes() + bytes(92)
        heads.append((start, start + len(wave), start + PERIOD, start + PERIOD * 11))
    outer, inner = _zones([p[3] for p in presets]), _zones(instruments)
    phdr = b"".join(struct.pack("<20sHHHIII", p[2].encode(), p[1], p[0], at, 0, 0, 0) for p, at in zip(presets, outer[0][:-1], strict=True))
    inst = b"".join(struct.pack("<20sH", b"i%d" % i, at) for i, at in enumerate(inner[0][:-1]))
    shdr = b"".join(struct.pack("<20s5IBbHH", b"s%d" % i, *h, _RATE, _ROOT, 0, 0, 1) for i, h in enumerate(heads))
    pdta = [
        chunk(b"phdr", phdr + struct.pack("<20sHHHIII", b"EOP", 0, 0, outer[0][-1], 0, 0, 0)),
        chunk(b"pbag", outer[1]),
        chunk(b"pmod", bytes(10)),
        chunk(b"pgen", outer[2]),
        chunk(b"inst", inst + struct.pack("<20sH", b"EOI", inner[0][-1])),
        chunk(b"ibag", inner[1]),
        chunk(b"imod", bytes(10)),
        chunk(b"igen", inner[2]),
        chunk(b"shdr", shdr + struct.pack("<20s5IBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0)),
    ]
    info = chunk(b"ifil", struct.pack("<HH", 2, 4)) + chunk(b"isng", b"EMU8000\0") + chunk(b"INAM", b"test\0\0")
    lists = [b"INFO" + info, b"sdta" + chunk(b"smpl", smpl), b"pdta" + b"".join(pdta)]
    path.write_bytes(chunk(b"RIFF", b"sfbk" + b"".join(chunk(b"LIST", body) for body in lists)))
    return path


def _zones(owners):
    """The first zone of each owner and the last one's end; their bags; their generators."""
    first, bags, generators = [0], [], []
    for zones in owners:
        for zone in zones:
            bags.append(len(generators))
            generators += zone
        first.append(len(bags))
    bags.append(len(generators))
    return (
        first,
        b"".join(struct.pack("<HH", at, 0) for at in bags),
        b"".join(struct.pack("<HH", g, amount & 0xFFFF) for g, amount in generators) + bytes(4),
    )


def write_soundfont(path: Path, presets, *, release=-2400):
    """`presets`: (bank, program, name, wave in +-1) each; release in timecents."""
    instruments = [[[(_RELEASE, release), (_MODES, 1), (_SAMPLE, i)]] for i in range(len(presets))]
    heads = [(b, p, n, [[(_INSTRUMENT, i)]]) for i, (b, p, n, _) in enumerate(presets)]
    return write_zoned(path, [wave for *_, wave in presets], instruments, heads)


def write_small(path: Path):
    """A piano, a silent flute, a lead, a bank variation, a breath-driven twin, a sound effect and a drum kit."""
    return write_soundfont(
        path,
        [
            (0, 0, "Soft Piano", tone(8)),
            (0, 73, "Mute Flute", tone() * 0),
            (0, 80, "Sine Lead", tone()),
            (8, 80, "Saw Lead", tone(20)),
            (17, 80, "Sine Lead Expr.", tone()),
            (0, 122, "Sea", tone(3)),
            (128, 0, "Kit", tone(5)),
        ],
    )
