"""Sounds to look at."""
