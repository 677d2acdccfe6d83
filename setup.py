"""What setup.cfg says, for builders that look for this file."""

from setuptools import setup

setup()
