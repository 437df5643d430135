"""Instruments between instruments: NSynth codes, morphed, decoded and packed for any sampler."""

__version__ = "0.1.0"
