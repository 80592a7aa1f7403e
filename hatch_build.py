"""Puts kernels into the wheel where `MIXOP_KERNELS` asks for them; it is then a wheel for one kind of machine.

    MIXOP_KERNELS=1 python -m build --wheel

needs the C++ compiler that `CXX` names, g++ if it names none, and builds for the machine that this one compiles for.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Kernels(BuildHookInterface):
    """Builds the kernels of the fused executor before the wheel is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds them to the wheel, and says what machines it is for."""
        if version == "editable" or os.environ.get("MIXOP_KERNELS", "0") in ("", "0"):
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from mixop.supernet.building import PREBUILT, SOURCES, prebuild

        self.folder = tempfile.TemporaryDirectory()  # until the wheel is packed
        built, platform = prebuild(Path(self.folder.name))
        place = PREBUILT.relative_to(SOURCES.parents[2])
        build_data["force_include"].update({str(path): str(place / path.name) for path in built})
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
