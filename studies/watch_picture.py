"""Takes the pictures of `mixop watch` in the README and on its page.

    PYTHONPATH=tests/support python studies/watch_picture.py docs/images

A search by GAEA on handwritten digits runs, and after 30 of its 40 epochs headless Chromium takes pictures of the page that
follows it: its beginning, and the cell with the mixing weights. About a minute. Needs Chromium and the extra `test`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from browser import Browser  # pyright: ignore[reportMissingImports]
from PIL import Image

from mixop.runs.files import METRICS
from mixop.watch.server import Server

SEARCH = "search --recipe gaea --space nasbench201-digits --data digits --epochs 40 --quiet"
EPOCHS, WIDTH, PIXELS, BORDER = 30, 1000, 1280, 12
"""When the pictures are taken; widths of the window in px and of the pictures; what stays around a part, in px."""

PARTS = {"watch": ("header", "#search figure"), "watch-weights": ("#cell", "#weights")}
"""What each picture begins and ends with."""


def main(folder: Path) -> None:
    with TemporaryDirectory() as place:
        run = Path(place) / "runs" / "gaea"
        run.parent.mkdir()
        command = [sys.executable, "-m", "mixop", *SEARCH.split(), "--out", str(run)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as search:
            try:
                bounds = photograph(run, Path(place) / "page.png", Path(place) / "profile")
            finally:
                search.terminate()
        page = Image.open(Path(place) / "page.png").convert("RGB")
        for name, (top, bottom) in bounds.items():
            save(page.crop((0, top, page.width, bottom)), folder / f"{name}.png")


def save(picture: Image.Image, path: Path) -> None:
    """Writes a picture of a page with a palette, which is a third of the size, and says how large it is."""
    # Of the ways to choose a palette, this keeps the small spots of colour.
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {picture.width} x {picture.height} pixels, {path.stat().st_size / 1e3:.0f} kB")


def photograph(run: Path, picture: Path, profile: Path) -> dict[str, tuple[int, int]]:
    """Waits until a search is so far, and takes a picture of its page.

    Returns:
        first and last row of each part.
    """
    while not (run / METRICS).exists() or (run / METRICS).read_bytes().count(b"\n") < EPOCHS:
        time.sleep(0.2)
    server = Server(run, port=0)
    server.start()
    browser = Browser(profile)
    scale = PIXELS / WIDTH

    def edge(selector: str, side: str) -> float:
        return browser.value(f"document.querySelector({selector!r}).getBoundingClientRect().{side} + scrollY")

    try:
        browser.window(width=WIDTH, scale=scale)
        browser.open(server.url)
        browser.until("document.getElementById('status')?.textContent === 'live' && !!document.querySelector('#weights')")
        browser.picture(picture)
        return {
            name: (max(round((edge(first, "top") - BORDER) * scale), 0), round((edge(last, "bottom") + BORDER) * scale))
            for name, (first, last) in PARTS.items()
        }
    finally:
        browser.close()
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
