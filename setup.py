"""What setup.cfg says, and the README for the package index."""

import re
from pathlib import Path

from setuptools import setup


def description() -> str:
    """Return the README without pictures and links that lead nowhere apart from the repository."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"^(!\[.*|<img .*)\n+", "", text, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)


setup(long_description=description(), long_description_content_type="text/markdown")
