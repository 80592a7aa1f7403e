"""How far a short search moves the architecture, as a share of the published way, for every recipe that falls short of it.

    python studies/short_travel.py

It prints the table of docs/methods.md, "Short searches". ``mixop.plan.scaling`` raises the architecture's learning rate
until rate times steps is as published, but not beyond its limits; what is missing then is computed here from the recipes alone,
without a search. tests/comparison/test_scaling.py compares the page with this output.
"""

from dataclasses import replace

from mixop.comparison.reproduce import SCALES, Scale
from mixop.plan.scaling import scaled_to, share_of_travel
from mixop.recipes import RECIPES

NAMES = ("small", "medium")
TOLERANCE = 0.005
"""A share that is printed as 1.00 is not a shortfall."""


def share(method: str, scale: Scale) -> float:
    """The share of the published way that a method goes at a scale."""
    assert scale.epochs is not None
    assert scale.images is not None
    recipe = RECIPES[method](epochs=scale.epochs)
    recipe = replace(recipe, batch_size=scale.batch or recipe.batch_size)
    half = scale.images // 2
    return share_of_travel(scaled_to(recipe, half, half, warmup=scale.warmup), half, half)


def table() -> str:
    """The rows of the recipes that fall short at some scale, in Markdown."""
    rows = {method: [share(method, SCALES[name]) for name in NAMES] for method in RECIPES}
    short = {method: shares for method, shares in rows.items() if any(abs(value - 1) >= TOLERANCE for value in shares)}
    lines = [f"| recipe | {' | '.join(f'{name} scale' for name in NAMES)} |", f"| --- |{' --- |' * len(NAMES)}"]
    # By what is shown: further digits differ between versions of Python and the system's mathematics.
    cells = {method: [f"{value:.2f}" for value in shares] for method, shares in short.items()}
    for method, shown in sorted(cells.items(), key=lambda item: (item[1], item[0])):
        lines.append(f"| `{method}` | {' | '.join(shown)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
