"""The pages are true to the house: the modules, files and links that they name exist, and the floors are those of the tests."""

import importlib
import re
from pathlib import Path

import pytest
from tests.test_layers import FLOORS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one, at any depth."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_a_name_that_is_gone_is_noticed():
    assert exists("mixop.nets.costs.CostTable")
    assert not exists("mixop.network")
    assert not exists("mixop.nets.costs.Nothing")


@every_page
def test_every_module_and_name_of_mixop_exists(page: Path):
    names = set(re.findall(r"(?<![\w./-])mixop(?:\.[A-Za-z_]\w*)+", page.read_text()))
    assert not [name for name in sorted(names) if not exists(name)]


@every_page
def test_every_file_of_the_repository_that_is_named_exists(page: Path):
    named = set(re.findall(r"`((?:src|tests|docs|examples|studies)/[\w./-]+)`", page.read_text()))
    assert not [name for name in sorted(named) if "NAME" not in name and not (ROOT / name).exists()]


@every_page
def test_every_link_leads_somewhere(page: Path):
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}"
        if heading:  # anchors as GitHub makes them: lower case, dashes for spaces, no punctuation
            titles = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, f"{page.name} links to {target}#{heading}"


def test_the_floors_of_the_design_page_are_those_that_the_layers_test_holds():
    page = (ROOT / "docs" / "design.md").read_text()
    floors: dict[int, set[str]] = {}
    floor = -1
    for number, room in re.findall(r"^\| (\d*) *\| `(\w+)` \|", page, flags=re.MULTILINE):
        floor = int(number) if number else floor
        floors.setdefault(floor, set()).add(room)
    wanted = {number: set(rooms) for number, rooms in enumerate(FLOORS)}
    assert floors == wanted, "write the floors of tests/test_layers.py into the table of docs/design.md, section 3"
