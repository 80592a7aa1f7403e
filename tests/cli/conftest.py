"""Commands without the pictures of their pages: tests/report and the README's commands draw those."""

import pytest


@pytest.fixture(autouse=True)
def _blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure takes a tenth of a second, a page has up to ten, and every search and retraining writes a page."""

    def blank(figure: object, description: str, classes: str = "plot") -> str:
        return f'<svg class="{classes}" role="img" aria-label="{description}"></svg>'

    for module in ("plots", "comparison_plots"):
        monkeypatch.setattr(f"mixop.report.{module}.to_svg", blank)
