"""Messages by the thousand, at their frames, from anywhere, and at random."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from engines import FLAT, RATE, cc, off, on, play, random_messages, rms

from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.samples import Sound
from nsynth_instrument.live.state import RING


@pytest.mark.parametrize("mpe", [0, 15])
def test_ten_thousand_random_messages(packs: dict[str, Sound], mpe: int) -> None:
    e = Engine(list(packs.values()), settings=Settings(gain=0.0, voices=64, mpe=mpe, aftertouch="morph"))
    words = random_messages(np.random.default_rng(mpe), 10_000)
    loudest = 0.0
    for i in range(0, len(words), 20):
        out = play(e, *words[i : i + 20], seconds=128 / RATE)
        assert np.isfinite(out).all()
        loudest = max(loudest, float(np.abs(out).max()))
    assert 0.2 < loudest <= 1.0
    for c in range(16):
        play(e, cc(121, 0, c), cc(123, 0, c), seconds=0.01)
    play(e, seconds=2.0)
    assert e.globals["sounding"] == 0
    assert not play(e, seconds=0.1).any()


def test_the_block_size_changes_nothing(packs: dict[str, Sound]) -> None:
    rng = np.random.default_rng(5)
    frames = np.sort(rng.integers(0, RATE, 200))
    words = np.array(random_messages(rng, 200))
    sounds = []
    for block in (64, 1024, RATE * 2):
        e = Engine([packs["morph"], packs["foreign"]], settings=FLAT)
        e.play(frames, words)
        out = np.zeros((RATE * 2 // block * block, 2), np.float32)
        for i in range(0, len(out), block):
            e.fill(out[i : i + block])
        sounds.append(out)
    assert np.abs(sounds[0]).max() > 0.1
    n = min(map(len, sounds))
    assert np.array_equal(sounds[0][:n], sounds[1][:n])
    assert np.array_equal(sounds[0][:n], sounds[2][:n])


def test_songs_are_exact_to_the_frame(packs: dict[str, Sound]) -> None:
    for at in (0, 1, 63, 64, 65, 1000, 12345):
        e = Engine([packs["plain"]], settings=FLAT)
        e.play(np.array([at]), np.array([on(60)]))
        out = np.zeros((20000, 2), np.float32)
        e.fill(out)
        assert np.flatnonzero(out[:, 0])[0] == at


def test_messages_from_many_threads_all_arrive(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    done = threading.Event()
    sent = [0] * 4

    def hand(channel: int) -> None:
        for i in range(3000):
            while sum(sent) - int(e.globals["tail"]) > RING - 8:  # a full queue would silence everything
                time.sleep(0.001)
            assert e.send(on(36 + i % 60, channel=channel) if i % 2 == 0 else off(36 + (i - 1) % 60, channel=channel))
            sent[channel] += 1

    threads = [threading.Thread(target=hand, args=(c,)) for c in range(4)]
    sound = threading.Thread(target=lambda: [play(e, seconds=0.01) for _ in iter(done.is_set, True)])
    sound.start()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    done.set()
    sound.join()
    play(e, seconds=1.0)
    assert sent == [3000] * 4
    assert e.globals["tail"] == 12000
    assert 0 < e.globals["age"] <= 6000  # thousands that fall into one block are more than there are voices
    assert e.globals["sounding"] == 0


def test_messages_that_nobody_plays_end_in_silence_not_in_a_stuck_note(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    for _ in range(RING):
        assert e.send(on(60))
    assert not e.send(off(60))  # this note-off is lost
    play(e, seconds=0.5)
    play(e, seconds=0.5)
    assert e.globals["sounding"] == 0
    assert rms(play(e, on(60), seconds=0.1)) > 0.1
