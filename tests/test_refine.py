"""Codes refined by analysis-by-synthesis: the gradient by hand, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from nsynth_instrument import bundle
from nsynth_instrument.codecs import known
from nsynth_instrument.codecs.refine import refined
from nsynth_instrument.dsp import timbre
from nsynth_instrument.dsp.partials import RATE, Partials
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import open_codec
from nsynth_instrument.runtimes.kernel_harmonic import HarmonicKernel
from nsynth_instrument.runtimes.kernel_vjp import HarmonicGradient


def test_the_gradient_by_hand_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    from nsynth_instrument.nets.harmonic import Harmonic, HarmonicConfig

    torch.manual_seed(0)
    net = Harmonic(HarmonicConfig(encoder=24, slow=40, fast=32))
    weights, config = {k: v.detach().numpy() for k, v in net.state_dict().items()}, net.config.to_dict()
    rng = np.random.default_rng(0)
    codes, told, fast = (rng.standard_normal(s, dtype=np.float32) for s in ((12, 16), (12, timbre.COND), (48, timbre.COND)))
    said, pull = HarmonicGradient(weights, config).decode(codes, told, fast)
    assert np.abs(said - HarmonicKernel(weights, config).decode(codes[None], told[None], fast[None])[0]).max() < 1e-6
    wanted = rng.standard_normal(said.shape, dtype=np.float32)
    z = torch.from_numpy(codes)[None].requires_grad_()
    net.decode(z, torch.from_numpy(told)[None], torch.from_numpy(fast)[None]).backward(torch.from_numpy(wanted)[None])
    assert z.grad is not None
    np.testing.assert_allclose(pull(wanted), z.grad[0].numpy(), atol=2e-5 * float(z.grad.abs().max()))


def unheard(pitch: float) -> np.ndarray:
    """A note of 4 s like none of an orchestra's: harmonics up to 16 dB down as chance has it."""
    rng = np.random.default_rng(3)
    t, f0 = np.arange(4 * RATE) / RATE, 440 * 2 ** ((pitch - 69) / 12)
    gains = 10 ** (rng.uniform(-16, 0, 80) / 20) / np.arange(1, 81)
    wave = sum(g * np.sin(2 * np.pi * k * f0 * t + k) for k, g in enumerate(gains, 1))
    return np.asarray(0.2 * wave * np.minimum(1, t / 0.02) * 10 ** (-np.maximum(0, t - 3) * 3), np.float32)


def misses(heard: Partials, note: Note, codes: np.ndarray) -> dict[str, float]:
    """What training would say of a whole note that is decoded from codes."""
    torch = pytest.importorskip("torch")
    from nsynth_instrument.nets.harmonic import Harmonic
    from nsynth_instrument.training.harmonic import collate, item
    from nsynth_instrument.training.harmonic_loss import WithLoss

    net, row = Harmonic(), {"pitch": note.pitch, "velocity": note.velocity}
    net.load_state_dict({k: torch.from_numpy(v.astype(np.float32)) for k, v in load_file(bundle.find("harmonic").path("weights.safetensors")).items()})
    net.encode = lambda *_: torch.from_numpy(codes)[None]  # type: ignore[method-assign]
    with torch.no_grad():
        said = WithLoss(net).eval()(**collate([item(heard, row, heard, row, 0, float(heard.level.max()))]))
    return {k: float(v) for k, v in said.items()}


def test_refined_codes_say_more_of_a_sound_that_no_encoder_has_heard() -> None:
    codec = open_codec(bundle.find("harmonic"), "kernel")
    note, audio = Note(57, 100), unheard(57)
    heard = codec.analyse([audio], [note])[0]
    first = codec.encode([audio], [note])[0]
    codes = known(codec, [audio], [note])[0]
    before, after = (misses(heard, note, z) for z in (first, codes))
    judged = ("level", "offset", "noise", "deviation")
    assert sum(after[k] for k in judged) < 0.93 * sum(before[k] for k in judged)
    assert after["fluctuation"] < before["fluctuation"] + 1.5, "a tone that stands still is said to tremble"
    assert after["attack"] < before["attack"] + 0.3
    assert np.abs(codes).max() < 3
    np.testing.assert_array_equal(codes, refined(first, heard, note, codec.decoder))
    moved = (codes - first)[8:88]  # while it is held
    assert 0.02 < np.abs(moved).mean() < 0.8
    assert np.abs(np.diff(moved, axis=0)).mean() < 0.2 * np.abs(moved).mean(), "what is added trembles"
