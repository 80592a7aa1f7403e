"""The reference is complete: every public name is on a page, and what a page asks mkdocstrings for exists."""

import importlib
import pkgutil
import re

import pytest

import mixop
from builder import api


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: text for name, _, text in api.pages()}


def faces() -> list[str]:
    """Every package and module of mixop that lists public names."""
    found = ["mixop"]
    for module in pkgutil.walk_packages(mixop.__path__, "mixop."):
        if not module.name.endswith("__main__") and hasattr(importlib.import_module(module.name), "__all__"):
            found.append(module.name)
    return found


def test_every_public_name_is_on_a_page(pages):
    everything = "\n".join(pages.values())
    shown = {name for _, modules in api.PAGES.values() for name in modules}
    assert set(faces()) <= shown
    for face in faces():
        for name in importlib.import_module(face).__all__:
            known = f"{face}.{name}"
            line = rf"^- \[?`{name}`\]?" if known not in everything else re.escape(known)
            assert re.search(line, everything, flags=re.MULTILINE), known


def test_every_page_asks_for_what_exists(pages):
    for page in pages.values():
        for path in re.findall(r"^::: ([\w.]+)$", page, flags=re.MULTILINE):
            module, _, name = path.rpartition(".")
            assert hasattr(importlib.import_module(module), name), path


def test_nothing_is_shown_twice(pages):
    asked = re.findall(r"^::: ([\w.]+)$", "\n".join(pages.values()), flags=re.MULTILINE)
    assert len(asked) == len(set(asked))


def test_where_names_are_at_home():
    assert api.home(mixop, "find") == "mixop.finder.find.find"
    assert api.home(mixop, "relax") is None
    assert api.home(mixop.spaces, "resnet") == "mixop.models.resnet.net"
    assert api.home(mixop.recipes, "RECIPES") == "mixop.recipes.RECIPES"
    assert api.home(mixop.data, "IMAGENET") == "mixop.data.images.augment.IMAGENET"
