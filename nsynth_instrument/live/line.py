"""The live line: what sounds, how loud, and how hard the machine works for it. rich draws it where there is a terminal."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from ..audio import db
from ..notes import key_name
from .engine import Engine
from .state import HELD, PEDALLED

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

METER, LOUD, OVER = 12, -6.0, -0.9
"""Cells of the level meter, one for 4 dB below full scale; dB from which it is yellow, and where the limiter begins: red."""


class Line:
    """One line that is drawn over, with sentences above it; where `out` is no terminal, or a dumb one, only the sentences."""

    def __init__(self, engine: Engine, *, out: IO[str], quiet: bool) -> None:
        """quiet: sentences alone."""
        from rich.console import Console
        from rich.live import Live

        self._engine, self._out = engine, out
        self._peak = 0.0
        self._shown = ""
        self._console = Console(file=out, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None
        if not quiet and out.isatty() and not self._console.is_dumb_terminal:
            self._live = Live(  # drawn when we ask for it: a thread of rich's own would do nothing that the loop does not
                console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )

    def text(self, load: float) -> Text:
        """The line as it is now, a cell less than the terminal is wide; lets the level meter fall."""
        from rich.text import Text

        e, g = self._engine, self._engine.globals
        self._peak = max(float(g["peak"]), self._peak * 0.8)
        g["peak"] = 0.0
        level = db(self._peak)
        cells = min(max(round((level + 4 * METER) / 4), 0), METER)
        block, rest = ("#", ".") if self._console.options.ascii_only else ("■", "·")
        sound = e.sounds[int(e.hands[int(g["last_channel"])]["pack"])]
        late = int(g["underruns"])
        right = Text.assemble(
            f"  {int(g['sounding']):3d} voices  cpu {load:4.0%}  ",
            (block * cells, "red" if level > OVER else "yellow" if level > LOUD else "green"),
            (rest * (METER - cells), "dim"),
            f"  gain {db(float(g['gain'])):+.0f} dB",
        )
        if sound.nx > 1:
            right.append(f"  morph {e.morph[0]:.2f}" + (f" {e.morph[1]:.2f}" if sound.ny > 1 else ""))
        right.append(f"  underruns {late}", "bold red" if late else "")
        held = np.isin(e.voices["state"], (HELD, PEDALLED))
        keys = " ".join(key_name(int(k)) for k in sorted(set(e.voices["key"][held].tolist())))
        name = f"{sound.pack.name}: " if len(e.sounds) > 1 else ""
        line = Text.assemble((name, "bold"), keys or "-", no_wrap=True, overflow="ellipsis")
        line.truncate(max(self._console.width - 1 - right.cell_len, METER), overflow="ellipsis", pad=True)
        return line.append_text(right)

    def draw(self, load: float) -> None:
        """Show the line over the last one, if it tells anything new."""
        if self._live is None:
            return
        line = self.text(load)
        if line.markup != self._shown:
            self._shown = line.markup
            self._live.start()
            self._live.update(line, refresh=True)

    def say(self, sentence: str) -> None:
        """A sentence above the line."""
        self._console.print(sentence, soft_wrap=True)

    def close(self) -> None:
        """Take the line away, and give the terminal its cursor back."""
        if self._live is not None:
            self._live.stop()
