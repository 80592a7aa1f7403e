"""Takes the picture of `mixop watch` in the README.

    PYTHONPATH=tests/support python studies/watch_picture.py docs/images/watch.png

A search by GAEA on handwritten digits runs, and after 30 of its 40 epochs headless Chromium takes a picture of the page that
follows it. About a minute. Needs Chromium and the extras `test` and `images`.
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
EPOCHS, WIDTH, HEIGHT, PIXELS = 30, 1000, 1180, 1280
"""When the picture is taken, the size of the window in px, and the width of the picture."""


def main(picture: Path) -> None:
    with TemporaryDirectory() as folder:
        run = Path(folder) / "runs" / "gaea"
        run.parent.mkdir()
        command = [sys.executable, "-m", "mixop", *SEARCH.split(), "--out", str(run)]
        with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL) as search:
            try:
                photograph(run, picture, Path(folder) / "profile")
            finally:
                search.terminate()
    # A palette of 128 colours is a third of the size, and nobody sees the difference on a page of few colours.
    image = Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    image.save(picture, optimize=True)
    print(f"{picture}: {image.width} x {image.height} pixels, {picture.stat().st_size / 1e3:.0f} kB")


def photograph(run: Path, picture: Path, profile: Path) -> None:
    """Waits until a search is so far, and takes a picture of its page."""
    while not (run / METRICS).exists() or (run / METRICS).read_bytes().count(b"\n") < EPOCHS:
        time.sleep(0.2)
    server = Server(run, port=0)
    server.start()
    browser = Browser(profile)
    try:
        browser.window(width=WIDTH, height=HEIGHT, scale=PIXELS / WIDTH)
        browser.open(server.url)
        browser.until("document.getElementById('status')?.textContent === 'live' && !!document.querySelector('#cell')")
        browser.picture(picture, whole=False)
    finally:
        browser.close()
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
