"""Puts the sources of the site into one folder: written pages as they are, and generated ones beside them.

Links of written pages are those of the repository, so that they also work where the repository is shown. Here they are turned
into links of the site.
"""

import os
import re
import shutil
from pathlib import Path

from builder import api, messages, recipes, scripts
from builder.lineage import LINEAGE, in_order

ROOT = Path(__file__).parents[2]

TUTORIALS = {
    "find_a_network": "Your own images",
    "signals": "Signals",
    "own_model": "Choices in your own model",
    "constraints": "Limits on size and cost",
    "compare_methods": "Compare methods fairly",
    "reproduce": "Run a paper's experiment again",
    "own_relaxation": "A new relaxation",
    "own_scheme": "A new scheme",
    "own_task": "A new task",
    "own_space": "A new search space",
}
"""The examples that are tutorials, in the order to read them in, with their line in the menu. The other ones follow."""

BESIDE = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Pages at the root of the repository, and what the site calls them."""

FOLDER = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{0}</title><link rel="icon" href="data:,">
<h1>{0}</h1>
{1}"""
"""A list of a folder's files: its path and its links."""

LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")


def write(folder: Path) -> None:
    """Writes all sources of the site.

    Args:
        folder: where to; what is in it goes first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for source in sorted((ROOT / "docs").glob("*.md")):
        put(folder / source.name, linked(source.read_text(), source, source.name, folder))
    for name, page in BESIDE.items():
        put(folder / page, linked((ROOT / name).read_text(), ROOT / name, page, folder))
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    shutil.copytree(ROOT / "docs" / "style", folder / "style")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "CITATION.cff", folder)
    write_tutorials(folder)
    write_recipes(folder)
    write_api(folder)
    put(folder / "messages.md", messages_page())


def write_tutorials(folder: Path) -> None:
    """Every example as a page and as a notebook, and the menu of them."""
    menu = ["- [All tutorials](index.md)"]
    rows: dict[bool, list[str]] = {True: [], False: []}
    every = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}
    for name in [*TUTORIALS, *(name for name in every if name not in TUTORIALS)]:
        script = scripts.read(every[name])
        title = TUTORIALS.get(name, script.title)
        page = f"tutorials/{name}.md"
        put(folder / page, linked(scripts.page(script, title), every[name], page, folder))
        put(folder / "tutorials" / f"{name}.ipynb", scripts.notebook(script, title))
        menu.append(f"- [{title}]({name}.md)")
        rows[name in TUTORIALS].append(f"| [{title}]({name}.md) | {script.summary} | {script.takes or 'seconds'} |")
    rows_of = ["\n".join(rows[tutorial]) for tutorial in (True, False)]
    head = "| | what it does | takes |\n| --- | --- | --- |\n"
    put(
        folder / "tutorials" / "index.md",
        "# Tutorials\n\nEach is a short script of the folder `examples`, which the tests run. Its page shows the same code, "
        f"and has it as a notebook to download.\n\n{head}{rows_of[0]}\n\n## More examples\n\n{head}{rows_of[1]}\n",
    )
    put(folder / "tutorials" / "SUMMARY.md", "\n".join(menu) + "\n")


def write_recipes(folder: Path) -> None:
    """A page for every recipe, one of all of them, and the menu."""
    for name in LINEAGE:
        put(folder / "recipes" / f"{name}.md", recipes.page(name))
    put(folder / "recipes" / "index.md", recipes.index())
    menu = ["- [All recipes](index.md)", *(f"- [{name}]({name}.md)" for name in in_order(LINEAGE))]
    put(folder / "recipes" / "SUMMARY.md", "\n".join(menu) + "\n")


def write_api(folder: Path) -> None:
    """The reference, its first page and its menu."""
    menu, lines = [], []
    for name, title, page in api.pages():
        put(folder / "api" / f"{name}.md", page)
        menu.append(f"- [{title}]({name}.md)")
        lines.append(f"- [{title}]({name}.md): " + ", ".join(f"`{module}`" for module in api.PAGES[name][1]))
    put(
        folder / "api" / "index.md",
        "# Reference\n\nEvery public name, with its signature and docstring.\n\n" + "\n".join(lines) + "\n",
    )
    put(folder / "api" / "SUMMARY.md", "\n".join(["- [All of it](index.md)", *menu]) + "\n")


def messages_page() -> str:
    """Every sentence that mixop refuses something with."""
    package = ROOT / "src" / "mixop"
    parts = [
        "# Every message\n\nAll sentences that mixop stops with, as the code has them; `…` stands for what only your run "
        "knows. [Troubleshooting](troubleshooting.md) says more about those that people meet most."
    ]
    every = messages.messages(package)
    for name, meaning in messages.error_classes(package).items():
        if name in every:
            parts.append(f"## {name}\n\n{meaning}")
            for room, sentences in every[name].items():
                parts.append(
                    f"### In `{room}` {{ #{name}-{room} }}\n\n" + "\n".join(f"- {as_text(said)}" for said in sentences)
                )
    return "\n\n".join(parts) + "\n"


def as_text(sentence: str) -> str:
    """A sentence as Markdown that shows every character of it."""
    return re.sub(r"([\\`*_{}\[\]<>#|~^])", r"\\\1", " ".join(sentence.split()))


def linked(page: str, source: Path, to: str, folder: Path) -> str:
    """A written page with links of the site in place of those of the repository.

    Args:
        page: its text.
        source: where it lies in the repository.
        to: its path in the site.
        folder: of the site's sources; a file that is linked and is no page is copied there.
    """

    def turned(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / found[1])).relative_to(ROOT)
        return os.path.relpath(in_site(target, folder), Path(to).parent)

    return LINK.sub(turned, page)


def in_site(target: Path, folder: Path) -> str:
    """Where the site has a file of the repository; a folder is a list of its files there."""
    if str(target) in BESIDE:
        return BESIDE[str(target)]
    if target == Path("examples"):
        return "tutorials/index.md"
    if target.parent == Path("examples"):
        return f"tutorials/{target.stem}.md"
    if target.parts[0] == "docs":
        return str(target.relative_to("docs"))
    copy = folder / "files" / target
    copy.parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / target).is_file():
        shutil.copy(ROOT / target, copy)
        return f"files/{target}"
    shutil.copytree(ROOT / target, copy, dirs_exist_ok=True)
    names = sorted(path.name for path in copy.iterdir() if path.name != "index.html")
    put(copy / "index.html", FOLDER.format(target, "".join(f'<p><a href="{name}">{name}</a></p>\n' for name in names)))
    return f"files/{target}/index.html"


def put(path: Path, text: str) -> None:
    """Writes a file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
