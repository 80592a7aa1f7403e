"""The sources of the site are whole: every page of the menu exists, and every link leads to a page."""

import re
from pathlib import Path

import pytest

from builder.lineage import LINEAGE
from builder.pages import LINK, as_text, linked, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write(folder)
    return folder


def test_there_is_a_page_for_every_recipe_and_a_page_and_a_notebook_for_every_example(site: Path):
    assert all((site / "recipes" / f"{name}.md").exists() for name in LINEAGE)
    for example in (ROOT / "examples").glob("*.py"):
        assert (site / "tutorials" / f"{example.stem}.md").exists()
        assert (site / "tutorials" / f"{example.stem}.ipynb").exists()
        assert (site / "examples" / example.name).exists()


def test_every_page_is_in_the_menu(site: Path):
    text = (ROOT / "mkdocs.yml").read_text()
    menu = text[text.index("\nnav:") :]
    named = set(re.findall(r"(\w+\.md)$", menu, flags=re.MULTILINE))
    for folder in re.findall(r": (\w+/)$", menu, flags=re.MULTILINE):
        named |= {f"{folder}{page}" for page in LINK.findall((site / folder / "SUMMARY.md").read_text())}
    assert named == {str(page.relative_to(site)) for page in site.rglob("*.md") if page.name != "SUMMARY.md"}


def test_every_link_leads_to_a_file(site: Path):
    for page in site.rglob("*.md"):
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in LINK.findall(text):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.relative_to(site)} links to {target}"


def test_links_of_the_repository_become_links_of_the_site(tmp_path):
    page = "[a](data.md#x) [b](../examples/signals.py) [c](../CHANGELOG.md) [d](../Makefile) [e](https://x.org) [f](#here)"
    assert linked(page, ROOT / "docs" / "tune.md", "tune.md", tmp_path) == (
        "[a](data.md#x) [b](tutorials/signals.md) [c](changelog.md) [d](files/Makefile) [e](https://x.org) [f](#here)"
    )
    assert (tmp_path / "files" / "Makefile").read_text() == (ROOT / "Makefile").read_text()
    assert (
        linked("[a](../docs/data.md)", ROOT / "examples" / "signals.py", "tutorials/signals.md", tmp_path) == "[a](../data.md)"
    )


def test_a_message_shows_every_character():
    assert as_text("`mixop` needs [x]\n  and a_b <c>") == r"\`mixop\` needs \[x\] and a\_b \<c\>"
