"""The one thing that pyproject.toml cannot say: the folder presets/ ships as nsynth_instrument/presets."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["nsynth_instrument*"]), "nsynth_instrument.presets"],
    package_dir={"nsynth_instrument.presets": "presets"},
)
