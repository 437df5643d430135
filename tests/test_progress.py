"""The bar on stderr, and words for who waits."""

import io
import time

import pytest

from nsynth_instrument import progress


def test_progress_on_a_terminal_moves_and_in_a_log_is_sparse() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for out in (Terminal(), io.StringIO()):
        with progress.Bar(4.0, out) as bar:
            bar.show("decode", 0, 100, "harmonic on kernel")
            for i in range(101):
                bar.show("decode", i, 100)
            bar.show("write", 100, 100)
            bar.show("write", 100, 100)
            bar.show("done", 100, 100, "all is well")
        text = out.getvalue()
        assert text.startswith("harmonic on kernel\n")
        assert "[########################] 100/100" in text
        assert "x real time" in text
        assert text.endswith("all is well\n")
        assert ("\r" in text) == isinstance(out, Terminal)
        assert text.count("write") == 1
        assert text.count("\n") <= 5


@pytest.mark.parametrize(("took", "left"), [(119.6, "2:00 left"), (59.5, "1:00 left"), (12.4, "0:12 left"), (9000, "2.5 h left")])
def test_what_is_left_is_whole_seconds_and_never_sixty(monkeypatch: pytest.MonkeyPatch, took: float, left: str) -> None:
    now, out = [100.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Bar(4.0, out) as bar:
        bar.show("decode", 0, 100)
        now[0] += took
        bar.show("decode", 50, 100)
    assert out.getvalue().endswith(f"{left}\n")


def test_who_waits_long_is_told_why_and_who_does_not_is_not() -> None:
    told: list[str] = []
    with progress.patience("compiling", told.append, after=0.05):
        time.sleep(0.5)
    with progress.patience("compiling", told.append, after=0.3) as slow:
        slow.cancel()
        time.sleep(0.6)
    with progress.patience("compiling", told.append, after=0.3):
        pass
    time.sleep(0.6)
    assert told == ["compiling"]
