"""What the drawings of cells and networks share: colours beside those of the operations, letters, and the frame."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from mixop.report.palette import KINDS

CHARACTER = 7.3  # px of one monospaced character at 12 px

INK, MUTED, GROUND = "#1d2430", "#667085", "#eef0f4"


def framed(width: float, height: float, description: str, body: Sequence[str]) -> str:
    """A self-contained SVG that adapts to light and dark.

    Args:
        width: in px.
        height: in px.
        description: what it shows, in words.
        body: its elements.
    """
    return (
        f'<svg class="mixop-cell" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" style="--own: {width:.0f}px" role="img" '
        f"aria-label={quoteattr(description)} "
        f"font-family=\"ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"12\">\n"
        f"<style>{_dark_style()}</style>\n" + "\n".join(body) + "\n</svg>"
    )


def _dark_style() -> str:
    """Colours for a dark ground; light ones are attributes, so that programs without CSS draw the cell too."""
    kinds = "".join(f".mixop-cell .op-{name}{{color:{kind.dark}}}" for name, kind in KINDS.items())
    return (
        "@media screen and (prefers-color-scheme: dark){"
        f"{kinds}.mixop-cell .op-concat{{color:#98a2b3}}.mixop-cell .number text{{fill:#98a2b3}}"
        ".mixop-cell .node rect{fill:#262d38;stroke:#8791a3}.mixop-cell .node text{fill:#e8ebf1}}"
    )
