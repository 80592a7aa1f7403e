"""A page for every recipe, made from its docstring, its values and its lineage."""

import re
from dataclasses import fields, is_dataclass
from inspect import getdoc

from builder.lineage import LINEAGE, around, drawing, in_order
from builder.readable import SCORE, plain
from mixop import recipes
from mixop.recipe.core import Recipe


def recipe(name: str) -> Recipe:
    """A recipe as published."""
    return getattr(recipes, name)()


def page(name: str) -> str:
    """The page of a recipe.

    Args:
        name: its name on the command line and in `mixop.recipes`.
    """
    docstring = getdoc(getattr(recipes, name)) or ""
    summary, _, rest = docstring.partition("\n")
    rest, *cards = re.split(r"^Scorecard", rest, flags=re.M)
    source = ""
    if cards:
        cards[-1], _, source = cards[-1].partition("\nSource:")
    parts = [
        f"# `{name}`",
        text(summary),
        drawing(around(name), name),
        text(_arguments(rest.strip())),
        "## Scorecard" if cards else "",
        *(scorecard(card) for card in cards),
        f"**Source:** {text(' '.join(source.split()))}",
        "## What it is made of",
        "As published, for " + _length(recipe(name).epochs) + ". What is not named here is off.",
        settings(recipe(name)),
        "## Use it",
        f"```python\nimport mixop\n\nrecipe = mixop.recipes.{name}(epochs=10)\n```",
        f"`mixop search --recipe {name} --help-all` lists every setting as a flag." if name in recipes.RECIPES else "",
        f"[Signature](../api/recipes.md#mixop.recipes.{name}) · [all recipes](index.md) · [which to choose](../methods.md)",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def index() -> str:
    """The page of all recipes: their family tree, and their scores side by side."""
    rows = ["| recipe | what it is | the paper's number | ours |", "| --- | --- | --- | --- |"]
    for name in in_order(LINEAGE):
        docstring = getdoc(getattr(recipes, name)) or ""
        entries = [(who, " ".join(value.split())) for who, value in SCORE.findall(docstring)]
        papers = [value for who, value in entries if who == "paper"]
        ours = [value for who, value in entries if who == "ours"]
        rows.append(f"| [`{name}`]({name}.md) | {text(docstring.splitlines()[0])} | {_cell(papers)} | {_cell(ours)} |")
    return (
        "# Recipes\n\n"
        "A recipe is a published search method as one value. Every name leads to its page: what it does, what the paper "
        "reports, what we measured, and what it is made of. [Which to choose](../methods.md) compares them.\n\n"
        f"## Which came out of which\n\n{drawing(LINEAGE)}\n\n"
        "## Scorecards\n\nNumbers in percent unless a page says otherwise; each page names the space and the data. "
        "Papers search at full scale, we at smaller ones, so no number has to agree ([results](../results.md)).\n\n"
        + "\n".join(rows)
        + "\n"
    )


def scorecard(card: str) -> str:
    """What follows the word Scorecard in a docstring, as a table; a sentence where it is not one."""
    if card.lstrip().startswith(":"):
        return text(" ".join(card.strip(": ").split())).capitalize()
    title = re.match(r" \((.*)\):", card)
    rows = [f"| {who} | {text(' '.join(value.split()))} |" for who, value in SCORE.findall(card)]
    head = title[1] if title else ""
    return "\n".join([f"| | {text(head[:1].upper() + head[1:])} |", "| --- | --- |", *rows])


MAIN = (
    "relaxation",
    "scheme",
    "weight_optimiser",
    "architecture_optimiser",
    "derivation",
    "batch_size",
    "clip",
    "norm",
    "order",
)
"""What every recipe's table shows; the other choices stand there if they differ from the default."""


def settings(value: Recipe) -> str:
    """The choices of a recipe as a table."""
    rows = ["| choice | value |", "| --- | --- |"]
    for field in fields(value):
        chosen = getattr(value, field.name)
        if field.name in MAIN or (field.name not in ("name", "epochs") and chosen != field.default):
            rows.append(f"| `{field.name}` | `{shown(chosen)}` |")
    return "\n".join(rows)


def shown(value: object) -> str:
    """A value as it is written in Python, without fields that are off by default."""
    if isinstance(value, tuple):
        return f"({', '.join(shown(part) for part in value)}{',' if len(value) == 1 else ''})"
    if not is_dataclass(value) or isinstance(value, type):
        return repr(value)
    chosen = [(field, getattr(value, field.name)) for field in fields(value) if field.init]
    told = [f"{field.name}={shown(part)}" for field, part in chosen if part or part != field.default]
    return f"{type(value).__name__}({', '.join(told)})"


def text(sentence: str) -> str:
    """A docstring's text as Markdown, with recipes that it names as links."""
    return re.sub(r"(?<!`)`(\w+)`(?!`)", lambda found: _linked(found[1]), plain(sentence))


def _linked(name: str) -> str:
    return f"[`{name}`]({name}.md)" if name in LINEAGE else f"`{name}`"


def _arguments(body: str) -> str:
    """The Args section of a docstring as a list."""
    before, found, after = body.partition("Args:\n")
    if not found:
        return body
    lines = re.sub(r"^    (\w+): ", r"- `\1`: ", after, flags=re.M)
    return f"{before}\n{lines}"


def _cell(values: list[str]) -> str:
    return "<br>".join(text(value) for value in values) or "not measured"


def _length(epochs: int) -> str:
    return "one epoch" if epochs == 1 else f"{epochs} epochs"
