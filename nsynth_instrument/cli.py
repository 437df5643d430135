"""The command line: parse, call, print. A command's module is imported when it is called, so that --help is instant."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from . import __version__
from .errors import NsynthError

COMMANDS: dict[str, tuple[str, str]] = {
    "render": (".commands:render", "Render what lies between sounds as a sample pack."),
    "list": (".commands:list_", "Show the instruments, presets and models there are."),
    "capture": (".capture.commands:capture", "Make an instrument of your own recordings."),
    "remove": (".capture.commands:remove", "Forget a captured instrument."),
    "play": (".live.commands:play", "Play a pack live from a MIDI keyboard."),
    "devices": (".live.commands:devices", "List the audio and MIDI devices."),
    "check": (".writers.commands:check", "Check a pack: its files, zones and loops."),
    "evaluate": (".evaluate.commands:evaluate", "Judge models: the paper's table, the voice's bars."),
    "rainbowgram": (".preview.commands:rainbowgram", "Picture sounds as the NSynth paper does."),
    "dataset": (".dataset.commands:dataset", "Make and read datasets in the NSynth format."),
    "train": (".training.commands:train", "Train a model."),
    "export": (".training.commands:export", "Turn a trained model into a bundle."),
    "import-magenta": (".training.magenta_commands:import_magenta", "Turn a published NSynth checkpoint into a model."),
    "bank": (".training.bank_commands:bank", "Give a model the instruments of soundfonts."),
}
"""Each command's module and attribute, and its line in --help."""

_CURES = {
    "ENOSPC": "the disk is full; free some space and run the same command again",
    "EDQUOT": "your disk quota is used up; free some space and run the same command again",
    "EROFS": "the disk can only be read; choose another folder",
    "EACCES": "permission is denied; choose another folder, or change its permissions",
    "EPERM": "permission is denied; choose another folder, or change its permissions",
    "ENAMETOOLONG": "that name is too long; choose a shorter one",
    "EMFILE": "too many files are open; close other programs, or raise the limit with ulimit -n",
}


class Lazy(click.Group):
    """A group that knows its commands by name alone until one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module, __package__), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table as it stands, nothing imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First pack: nsynth-instrument render --a flute --b bass",
)
@click.version_option(__version__, package_name="nsynth-instrument")
def cli() -> None:
    """Instruments between instruments: name two sounds, get what lies between them as a pack for any sampler."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: 0, or 1 or 2 after one sentence on stderr, or 130 after an interrupt."""
    # Notes are worked on side by side, each by one thread. BLAS's own threads would mostly wait for one another:
    # measured, a decode then takes 3 to 7 times the processor time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = cli.main(args, prog_name="nsynth-instrument", standalone_mode=False)
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _say("interrupted; run the same command to go on", 130)
    except NsynthError as e:
        code = _say(str(e), e.exit_code)
    except UnicodeEncodeError as e:
        near = e.object[max(0, e.start - 20) : e.end + 20]
        code = _say(f"{near!r} has letters that are no text in {e.encoding}; rename the file, or give it another name", 1)
    except MemoryError:
        code = _say("the memory is full; close other programs, or ask for less at once", 1)
    except OSError as e:
        cure = _CURES.get(errno.errorcode.get(e.errno or 0, ""))
        if cure is None:
            raise
        code = _say(f"{e.filename or 'cannot write'}: {cure}", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _say(words: str, code: int) -> int:
    click.echo(f"nsynth-instrument: {words}", err=True)
    return code
