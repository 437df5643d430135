"""A user's own sound as an instrument: from recordings, maps or soundfonts to notes, and from notes to a model's codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from ..bank import Instrument, InstrumentBank
from ..bundle import Bundle
from ..codecs import Codec
from ..errors import UnknownName
from ..progress import Passed
from . import sources, store
from .note import Sound
from .store import About, Stored

_FAMILIES = {
    "bass": "bass", "brass": "brass trumpet trombone tuba horn cornet", "flute": "flute piccolo recorder whistle ocarina",
    "guitar": "guitar banjo sitar ukulele mandolin koto", "keyboard": "piano keyboard rhodes harpsichord clavinet",
    "mallet": "mallet marimba vibraphone xylophone glockenspiel celesta bell kalimba", "organ": "organ accordion",
    "reed": "reed clarinet oboe bassoon sax harmonica", "string": "string violin viola cello harp",
    "synth_lead": "synth lead pad saw", "vocal": "vocal voice choir voix sing",
}  # fmt: skip


def capture(
    name: str,
    texts: Sequence[str],
    *,
    title: str = "",
    family: str = "",
    licence: str = "",
    key: int | None = None,
    octave: int | None = None,
    replace: bool = False,
    passed: Passed | None = None,
) -> tuple[Stored, list[str]]:
    """Make an instrument of files or folders and keep it under `name`; also what there is to tell, a sentence each.

    key: of a single recording; octave: number of middle C in file names; passed: see `Dataset.open`. Raises AudioError,
    DataError, UsageError or MissingExtra, each with the reason.
    """
    name = store.check_name(name)
    said = {"title": title, "family": family, "licence": licence}
    about, sounds, words = listen(texts, name=name, **said, key=key, octave=octave, passed=passed)
    return store.save(about, sounds, replace=replace), words


def listen(
    texts: Sequence[str], *, name: str, title: str = "", family: str = "", licence: str = "", key: int | None = None,
    octave: int | None = None, passed: Passed | None = None,
) -> tuple[About, list[Sound], list[str]]:  # fmt: skip
    """The notes of files or folders, and what to tell of them; nothing is kept. Raises as `capture`."""
    from .sounds import prepare, summary

    with ExitStack() as stack:
        found = sources.read(texts, stack, passed)
        sounds, words = prepare(found.takes, key=key, octave=octave)
    kind = family or found.family or _family(f"{name} {title} {found.title}")
    named = found.title if sources.is_source(name) else name.replace("_", " ").title()
    about = About(name, title or named, kind, found.source or "acoustic", licence or "not stated")
    return about, sounds, [*summary(sounds), *found.words, *words]


def _nothing(_: str) -> None:
    """Tell nobody."""


def which(text: str, bank: InstrumentBank) -> str:
    """The full name of what `text` means: of the bank, of a captured instrument, or the text itself if it is a path.

    A name may be shortened as long as it is the only one that begins so. Raises UnknownName with the nearest names.
    """
    wanted = text.strip().lower()
    names = [*bank.instruments, *(s.about.name for s in store.installed())]
    if wanted in names:
        return wanted
    if sources.is_source(text):
        return text
    begin = [n for n in names if wanted and n.startswith(wanted)]
    if len(begin) != 1:
        raise UnknownName("instrument", text, names)
    return begin[0]


def resolve(
    text: str, model: Bundle, bank: InstrumentBank, codec: Callable[[], Codec], *, tell: Callable[[str], object] = _nothing
) -> Instrument:
    """The instrument that `text` means, for a model: of its bank, captured, or a file, a preset or a folder on the disk.

    The codec is opened only for notes that the model has not heard yet. An instrument made of a path is named by that path;
    `tell` is given a sentence for each thing that was found in it. Raises as `which`, and as `capture` where a file cannot
    be used.
    """
    from . import codes

    name = which(text, bank)
    if name in bank.instruments:
        return bank[name]
    if sources.is_source(name) and name not in {s.about.name for s in store.installed()}:
        about, sounds, words = listen([name], name=name)
        for line in words:
            tell(line)
        return codes.instrument(about, sounds, codec())
    own = store.load(name)
    return codes.recall(own, model) or codes.of(own, model, codec())


def beside(
    names: Iterable[str],
    model: Bundle,
    bank: InstrumentBank,
    codec: Callable[[], Codec],
    *,
    tell: Callable[[str], object] = _nothing,
) -> InstrumentBank:
    """What of the names is not in the bank, as a bank of its own, perhaps empty; see `resolve`."""
    own = [n for n in dict.fromkeys(names) if n not in bank.instruments]
    return InstrumentBank.of(resolve(n, model, bank, codec, tell=tell) for n in own)


def _family(text: str) -> str:
    """NSynth's family by the words of a title; "own" if none is in it."""
    low = text.lower()
    return next((f for f, words in _FAMILIES.items() for w in words.split() if w in low), "own")


__all__ = ["About", "Sound", "Stored", "beside", "capture", "listen", "resolve", "which"]
