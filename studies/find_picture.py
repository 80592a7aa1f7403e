"""Takes the picture of what `mixop find` writes: its head, and the first figure of scores against costs.

    mixop find digits --minutes 2 --out runs/digits
    PYTHONPATH=tests/support python studies/find_picture.py runs/digits docs/images

The window is narrow, so that the picture can be read on a phone too. Needs Chromium and the extra `test`.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Browser  # pyright: ignore[reportMissingImports]
from PIL import Image
from watch_picture import BORDER, save

WIDTH, SCALE = 440, 2.0
"""The window's width in px, and pixels of the picture for each of them."""

PARTS = (("header", ".facts"), ("#costs h2", "#costs figure"))
"""What each part of the picture begins and ends with."""


def main(run: Path, folder: Path) -> None:
    """Takes it.

    Args:
        run: directory of a finished `mixop find`.
        folder: where ``find.png`` goes.
    """
    with TemporaryDirectory() as place:
        browser = Browser(Path(place) / "profile")
        try:
            browser.window(width=WIDTH, scale=SCALE)
            browser.open((run / "find.html").resolve().as_uri())
            browser.until("document.readyState === 'complete' && !!document.querySelector('#costs figure')")
            browser.picture(Path(place) / "page.png")
            bounds = [[_edge(browser, first, "top"), _edge(browser, last, "bottom")] for first, last in PARTS]
        finally:
            browser.close()
        page = Image.open(Path(place) / "page.png").convert("RGB")
        parts = [
            page.crop((0, max(round(SCALE * (top - BORDER)), 0), page.width, round(SCALE * (bottom + BORDER))))
            for top, bottom in bounds
        ]
    picture = Image.new("RGB", (page.width, sum(part.height for part in parts)))
    height = 0
    for part in parts:
        picture.paste(part, (0, height))
        height += part.height
    save(picture, folder / "find.png")


def _edge(browser: Browser, selector: str, side: str) -> float:
    """An edge of the first element that fits, in px from the top of the page."""
    return browser.value(f"document.querySelector({selector!r}).getBoundingClientRect().{side} + scrollY")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
