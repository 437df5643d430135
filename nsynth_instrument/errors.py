"""What a user can mend. Each message says what is wrong and how to cure it, in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NsynthError(Exception):
    """A fault whose text is shown to the user as it is; the command exits with `exit_code`."""

    exit_code = 1


class UsageError(NsynthError):
    """An option or argument that cannot be meant: out of range, impossible, contradictory."""

    exit_code = 2


class UnknownName(UsageError):  # noqa: N818
    """A name that is not in a list of known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """`kind` is the noun for the message ("instrument"), `known` all names that would do."""
        known = sorted(known)
        by_lower = {k.lower(): k for k in known}
        close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
        close += [k for k in by_lower if name.lower() in k and k not in close][: 3 - len(close)]
        if close:
            hint = "did you mean " + " or ".join(by_lower[c] for c in close) + "?"
        elif known:
            hint = "there are: " + ", ".join(known)
        else:
            hint = "there are none yet"
        super().__init__(f"no {kind} is called {name!r}; {hint}")


class AudioError(NsynthError):
    """A sound file that cannot be read, or holds nothing that can be used."""


class BundleError(NsynthError):
    """A model folder that is missing a file, damaged, or made for another version."""


class DataError(NsynthError):
    """A dataset, bank, pack or preset that does not say what it must."""


class MissingExtra(NsynthError):  # noqa: N818
    """A part that needs packages which the base install leaves out."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more packages: pip install 'nsynth-instrument[{extra}]'")


class DeviceError(NsynthError):
    """A GPU, audio device or MIDI port that was asked for and is not there."""
