"""The NSynth format: notes described by examples.json, their sound in audio/*.wav (or both in a TFRecord).

Engel et al. 2017, section 3.1; https://magenta.tensorflow.org/datasets/nsynth
"""

from __future__ import annotations

FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal")
"""Names of instrument_family 0..10."""

SOURCES = ("acoustic", "electronic", "synthetic")
"""Names of instrument_source 0..2."""

QUALITIES = (
    "bright",
    "dark",
    "distortion",
    "fast_decay",
    "long_release",
    "multiphonic",
    "nonlinear_env",
    "percussive",
    "reverb",
    "tempo-synced",
)
"""Names of the places in `qualities`."""

SPLITS = ("train", "valid", "test")
"""Folders of a whole set."""
