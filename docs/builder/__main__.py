"""Writes the sources of the site into a folder: ``PYTHONPATH=docs python -m builder FOLDER``."""

import sys
from pathlib import Path

from builder.pages import write

write(Path(sys.argv[1]))
