"""Sets of notes in the NSynth format: read, described, and made from soundfonts."""
