"""A package of an extra is imported, or the sentence names the extra; the table is that of the project's file."""

import json
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mixop.core import extras
from mixop.core.errors import MissingExtraError


def test_what_is_there_is_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(extras, "PACKAGES", {"json": ("json", "none")})
    assert extras.package("json", "Reading") is json


@pytest.mark.parametrize("module", extras.PACKAGES)
def test_what_is_missing_is_named_with_its_extra(module: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, module, None)
    name, extra = extras.PACKAGES[module]
    with pytest.raises(MissingExtraError) as told:
        extras.package(module, "This")
    assert str(told.value) == f"This needs {name}, which is not installed: pip install 'mixop[{extra}]'"


def test_every_package_is_in_the_extra_of_its_row():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for name, extra in extras.PACKAGES.values():
        assert name in {Requirement(text).name for text in project["optional-dependencies"][extra]}
