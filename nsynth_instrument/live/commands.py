"""`nsynth-instrument play` and `nsynth-instrument devices`."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import DeviceError, UnknownName, UsageError
from ..progress import COMPILING, patience

if TYPE_CHECKING:
    from .engine import Engine, Settings
    from .midifile import Song
    from .samples import Sound

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("packs", nargs=-1, required=True, type=_FILE)
@click.option("--midi", metavar="NAME", help="Listen to the MIDI port whose name contains NAME only, not to all.")
@click.option("--virtual", is_flag=True, help="Offer a MIDI port of our own, for other programs to connect to.")
@click.option("--midi-api", metavar="NAME", help="alsa, jack, coremidi or winmm; else the first that answers.")
@click.option("--device", metavar="NAME", help="Play on the audio output whose name contains NAME.")
@click.option("--rate", type=click.IntRange(8000, 384000), help="Hz; else the device's own, or the pack's with --out.")
@click.option("--block", type=click.IntRange(16, 8192), help="Frames a block; else what the device likes best.")
@click.option("--channel", type=int, help="Hear this MIDI channel only, 1..16.")
@click.option("--mpe", type=int, default=0, help="Member channels of an MPE lower zone, 1..15.")
@click.option("--aftertouch", default="vibrato", show_default=True, help="What pressure does: vibrato, morph, loudness or none.")
@click.option("--voices", type=int, default=256, show_default=True, help="Limit; beyond it the quietest is stolen.")
@click.option("--gain", type=float, default=-8.0, show_default=True, help="dB.")
@click.option("--tune", type=float, default=0.0, help="Cents.")
@click.option("--attack", type=float, default=0.0, help="s.")
@click.option("--decay", type=float, default=0.0, help="s.")
@click.option("--sustain", type=float, default=1.0, help="0..1.")
@click.option("--release", type=float, help="s; else the pack's own.")
@click.option("--memory", type=click.IntRange(16), default=2048, show_default=True, help="MB of RAM for samples; more is mapped.")
@click.option("--keys", is_flag=True, help="Play on the computer's keyboard: z s x d c ... and q 2 w 3 e ...")
@click.option("--record", type=_FILE, help="Record what is played: .wav the sound, .mid the notes.")
@click.option("--midi-file", type=_FILE, help="Play this MIDI file; end with it, but for --keys, --midi or --virtual.")
@click.option("--out", type=_FILE, help="With --midi-file: render to this WAV, without any device.")
@click.option("--quiet", is_flag=True, help="No live line.")
def play(
    packs: tuple[Path, ...],
    midi: str | None,
    virtual: bool,
    midi_api: str | None,
    device: str | None,
    rate: int | None,
    block: int | None,
    channel: int | None,
    mpe: int,
    aftertouch: str,
    voices: int,
    gain: float,
    tune: float,
    attack: float,
    decay: float,
    sustain: float,
    release: float | None,
    memory: int,
    keys: bool,
    record: Path | None,
    midi_file: Path | None,
    out: Path | None,
    quiet: bool,
) -> None:
    """Play PACKS from a MIDI keyboard: one pack, several, or folders of them.

    Several packs answer to program changes 1, 2, ... in the order given. The mod wheel morphs a pack that has positions,
    and CC2 or CC74 along the second axis of a square.
    Prints `ready` when a key would sound; ends with Ctrl-C or Escape.
    """
    from .engine import Settings
    from .samples import check, find

    if out and (record or keys or virtual or midi):
        raise UsageError("--out renders without playing; leave out --record, --keys, --virtual and --midi")
    settings = Settings(voices, gain, attack, decay, sustain, release, channel, mpe, aftertouch, tune)
    folders = find(packs)
    first, *_ = [check(f) for f in folders]
    if out:
        if not midi_file:
            raise UsageError("--out renders a MIDI file: give it with --midi-file SONG.mid")
        _render(folders, settings, rate or first.rate, memory, midi_file, out, quiet)
    else:
        _live(folders, settings, rate, memory, midi, virtual, midi_api, device, block or 0, keys, record, midi_file, quiet)


def _load(folders: list[Path], rate: int, memory: int, quiet: bool) -> list[Sound]:
    """All packs at one rate, the RAM shared in the order given."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from .samples import load

    left = memory << 20
    sounds = []
    with Progress(console=Console(stderr=True), transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        for folder in folders:
            task = bar.add_task(f"loading {escape(folder.name)}")

            def show(done: int, total: int, task: Any = task) -> None:
                bar.update(task, completed=done, total=total)

            sounds.append(load(folder, rate=rate, budget=left, progress=show))
            left = max(left - sounds[-1].memory, 0)
    return sounds


def _engine(sounds: list[Sound], settings: Settings) -> Engine:
    from .engine import Engine

    with patience(COMPILING, functools.partial(click.echo, err=True)):
        return Engine(sounds, settings=settings)


def _render(folders: list[Path], settings: Settings, rate: int, memory: int, midi_file: Path, out: Path, quiet: bool) -> None:
    from . import midifile
    from .player import render
    from .record import WavWriter

    if out.suffix.lower() != ".wav":
        raise UsageError(f"--out {out}: the name must end in .wav")
    song = midifile.read(midi_file, rate=rate)
    engine = _engine(_load(folders, rate, memory, quiet), settings)
    with WavWriter(out, rate=rate, channels=2) as wav:
        for block in render(engine, song):
            if not wav.write(block):
                raise UsageError(f"{midi_file} fills more than the 4 GB of a WAV file; use a lower --rate")
    g = engine.globals
    if not quiet:
        click.echo(f"{g['frame'] / rate:.1f} s, {g['age']} notes, peak {g['peak']:.2f}, {g['stolen']} stolen", err=True)
    click.echo(out)


def _live(
    folders: list[Path],
    settings: Settings,
    rate: int | None,
    memory: int,
    midi: str | None,
    virtual: bool,
    midi_api: str | None,
    device: str | None,
    block: int,
    keys: bool,
    record: Path | None,
    midi_file: Path | None,
    quiet: bool,
) -> None:
    from . import midifile
    from .keyboard import HELP, Desk, Keyboard
    from .line import Line
    from .midi import hushed
    from .player import choose, output
    from .record import Recorder, check

    if record:
        check(record)
    if keys and not sys.stdin.isatty():
        raise UsageError("--keys needs a terminal to type in")
    with hushed():
        rate = rate or choose(device).rate
    song = midifile.read(midi_file, rate=rate) if midi_file else None
    engine = _engine(_load(folders, rate, memory, quiet), settings)
    stop = _Stop()
    with ExitStack() as stack:
        stack.enter_context(stop)
        stack.enter_context(hushed())
        if song:
            engine.play(song.frames, song.messages)
        speaker = output(engine, device=device, block=block)
        stack.callback(speaker.close)
        ports = _ports(engine, speaker, midi_api, midi, virtual, optional=keys or song is not None)
        for p in ports:
            stack.callback(p.close)
        recorder = Recorder(engine, record) if record else None
        if recorder:
            stack.callback(recorder.close)
        desk = keyboard = None
        if sys.stdin.isatty():
            keyboard = stack.enter_context(Keyboard().listening(notes=keys))
            desk = Desk(engine, engine.send, notes=keys)
        line = Line(engine, out=sys.stderr, quiet=quiet)
        stack.callback(line.close)
        if not quiet:
            line.say(_greeting(engine, speaker, ports))
            if desk:
                line.say(HELP)
        gc.collect()
        gc.freeze()  # what lives now is never looked at again, so that later collections take microseconds
        stack.callback(gc.unfreeze)
        click.echo("ready")
        sys.stdout.flush()
        along = keys or midi or virtual  # who asks to play along goes on after the song
        _loop(engine, speaker, ports, line, desk, keyboard, recorder, None if along else song, stop)
        if not quiet:
            line.say(_farewell(engine, recorder))
    if speaker.stuck:
        sys.stderr.flush()
        os._exit(0)


def _ports(engine: Engine, speaker: Any, api: str | None, port: str | None, virtual: bool, *, optional: bool) -> list[Any]:
    """What is listened to: on JACK our client's own port, and where no keyboard is on JACK, the system's ports as well."""
    from .jack import JackOutput
    from .jackports import JackInput, JackPorts
    from .midi import Ports, backend

    found: list[Any] = []
    ours = isinstance(speaker, JackOutput)
    if ours and api in (None, "jack"):
        try:
            found.append(JackPorts(speaker, port=port, virtual=virtual))
        except UnknownName:
            if api:
                raise
        if api or virtual or any(p.open for p in found):
            return found
    try:
        if backend(api)[0] != "jack":
            found.append(Ports(engine.send, api=api, port=port, virtual=virtual))
        elif ours:  # no system has keyboards here: whatever sends on JACK is one
            found = [JackPorts(speaker, port=port, every=True)]
        else:
            found.append(JackPorts(JackInput(engine), port=port, virtual=virtual, every=True))
    except DeviceError:
        if not (found or optional) or port or virtual or api:
            raise
    return found


def _greeting(engine: Engine, speaker: Any, ports: list[Any]) -> str:
    names = ", ".join(s.pack.title or s.pack.name for s in engine.sounds)
    heard = ", ".join(f"{n} ({p.name})" for p in ports for n in p.open) or "no MIDI keyboard yet: plug one in"
    time = f"{engine.globals['rate']:.0f} Hz, {int(engine.globals['block'])} frames a block, {1000 * speaker.latency:.1f} ms"
    return f"{names} on {speaker.label} at {time}; {heard}"


def _farewell(engine: Engine, recorder: Any) -> str:
    g = engine.globals
    minutes, seconds = divmod(int(g["frame"] / float(g["rate"])), 60)
    text = f"{minutes}:{seconds:02d} played, {g['age']} notes, {g['stolen']} stolen, {g['underruns']} underruns"
    if recorder:
        recorder.poll()
        if recorder.lost:
            text += f"; the recording lacks {recorder.lost} frames or messages: this machine was too busy, the disk or 4 GB are "
            text += "full, or the card came back at another rate"
    return text


def _loop(
    engine: Engine,
    speaker: Any,
    ports: list[Any],
    line: Any,
    desk: Any,
    keyboard: Any,
    recorder: Any,
    song: Song | None,
    stop: _Stop,
) -> None:
    """Everything that need not be in time: 50 times a second the keys, 10 times the line, twice the ports and the device.

    It ends when the player says so, and with the song if there is one.
    """
    turn = 0
    while not stop.asked:
        if desk and not desk.press(keyboard.poll(), releases=keyboard.releases):
            return
        if turn % 2 == 0:
            engine.prefetch()
        if turn % 5 == 0:
            line.draw(speaker.load)
            if recorder:
                recorder.poll()
        if turn % 25 == 0:
            news = [speaker.watch(), *(n for p in ports for n in p.poll())]
            for sentence in filter(None, news):
                line.say(sentence)
            g = engine.globals
            if song and g["frame"] > song.end and g["sounding"] == 0:
                return
        turn += 1
        time.sleep(0.02)


class _Stop:
    """Ctrl-C and SIGTERM end the loop, so that devices and files are closed."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Stop:
        for which in (signal.SIGINT, signal.SIGTERM):
            self._before[which] = signal.signal(which, self._ask)
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)


@click.command()
def devices() -> None:
    """List the audio outputs and MIDI ports that `play` can use; names go to --device and --midi."""
    from .midi import APIS, backend, hushed, names
    from .player import devices as outputs

    try:
        with hushed():
            found = outputs()
        if not found:
            click.echo("no audio output here; --midi-file SONG --out FILE renders without one", err=True)
        for d in found:
            click.echo(f"audio  {d.label}  ({d.channels} channels, {d.rate} Hz, {1000 * d.latency:.1f} ms)")
    except DeviceError as e:
        click.echo(f"no audio: {e}", err=True)
    any_back = False
    for api in APIS:
        try:
            ours, number = backend(api)
        except DeviceError:
            continue
        any_back = True
        for name in names(number):
            click.echo(f"midi   {name}  ({ours})")
    if not any_back:
        click.echo(
            "no MIDI back end answers on this machine; play --keys, or --midi-file SONG --out FILE, works without", err=True
        )
