"""A sound card that vanishes while it is played."""

from __future__ import annotations

from pathlib import Path

import jackrig
import livepacks
import pytest
from engines import rms
from jackrig import App, drive

pytest.importorskip("jack")
if jackrig.missing:
    pytest.skip(f"{' and '.join(jackrig.missing)} missing: apt install jackd2 libportaudio2", allow_module_level=True)


@pytest.mark.parametrize("way", [(), jackrig.PORTAUDIO], ids=["jack", "portaudio"])
def test_a_server_that_vanishes_is_survived(tmp_path: Path, way: tuple[str, ...]) -> None:
    pack = livepacks.make(tmp_path / "p", pitches=(60,), looped=True)
    with jackrig.server() as first, App("--gain", "0", *way, str(pack)) as app:
        first.terminate()
        first.wait(jackrig.LIMIT)
        app.said("is gone")
        if way:  # PortAudio cannot come back to JACK; the player is told, and can end in order
            assert "end and play again" in app.text()
        else:
            with jackrig.server():
                app.said("playing on JACK again")
                x = drive([(4800, bytes((0x90, 60, 100)))], 0.5)
                assert rms(x[-4800:]) > 0.1
                assert app.stop() == 0
