"""The kernel's encoder, which takes several layers together over sections of a sound, against the network."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nsynth_instrument.nets.wavenet import WaveNet  # noqa: E402
from nsynth_instrument.nets.wavenet_config import WaveNetConfig  # noqa: E402
from nsynth_instrument.runtimes.kernel_emit import has_bf16  # noqa: E402
from nsynth_instrument.runtimes.kernel_encoder import Encoder, _groups  # noqa: E402
from nsynth_instrument.runtimes.kernel_sections import SECTION  # noqa: E402
from nsynth_instrument.runtimes.kernel_tiles import has_tiles  # noqa: E402

CONFIG = WaveNetConfig(
    hop=32, bands=2, encoder_width=40, encoder_layers=10, encoder_stages=7, width=8, skip=8, layers=1, stages=1, kernel=2
)


def test_layers_go_together_while_their_dilations_are_alike() -> None:
    assert _groups([1, 2, 4, 8, 16, 32, 64, 1, 2]) == [(0, 5, 1), (5, 7, 32), (7, 9, 1)]
    assert _groups([1, 1, 1]) == [(0, 3, 1)]
    assert _groups([4]) == [(0, 1, 4)]


@pytest.mark.parametrize(("frames", "width"), [(1, 40), (3, 130), (75, 40), (150, 40), (150, 130)])
def test_codes_are_the_networks_wherever_sections_end(frames: int, width: int) -> None:
    torch.manual_seed(frames)
    config = replace(CONFIG, encoder_width=width)
    net = WaveNet(config).eval().encoder
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.ndim == 1 else (2 / p[0].numel()) ** 0.5))
    w = {k: v.numpy() for k, v in net.state_dict().items()}
    signal = np.random.default_rng(0).uniform(-1, 1, (2, frames * CONFIG.steps, CONFIG.bands)).astype(np.float32)
    assert signal.shape[1] > SECTION or frames < 150
    with torch.no_grad():
        wanted = net(torch.from_numpy(signal)).numpy()
    scale = np.abs(wanted).max()
    ways = [({"bf16": False}, 1e-5)]
    ways += [({"bf16": True}, 0.03)] if has_bf16() else []
    ways += [({"bf16": True, "tiles": True}, 0.03)] if has_tiles() else []
    for way, most in ways:
        alone, shared = (Encoder(w, config, **way)(signal, threads) for threads in (1, 3))
        np.testing.assert_allclose(alone, wanted, atol=most * scale, rtol=0)
        np.testing.assert_array_equal(alone, shared)
