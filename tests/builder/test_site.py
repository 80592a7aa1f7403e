"""The built site in a real browser: no page is wider than a phone, none complains, every link leads somewhere."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import Browser

from builder.links import faults
from builder.pages import write

ROOT = Path(__file__).parents[2]
ZENSICAL = Path(sys.executable).with_name("zensical")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not ZENSICAL.exists(), reason="needs zensical, of the extra 'docs'"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` builds it, in another folder."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    for name in ("src", "docs"):
        (folder / name).symlink_to(ROOT / name)
    write(folder / "build" / "docs")
    done = subprocess.run(
        [str(ZENSICAL), "build", "--strict", "--clean"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "site"


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_every_link_of_the_site_leads_somewhere(site: Path):
    assert len(list(site.rglob("*.html"))) > 100
    assert list(faults(site)) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_its_window_and_the_console_is_quiet(site: Path, address: str, tmp_path: Path, width: int):
    browser = Browser(tmp_path / "profile")
    browser.window(width=width, phone=width < 600)
    wrong = []
    for page in sorted(set(site.rglob("*.html")) - {site / "404.html"}):
        name = str(page.relative_to(site))
        browser.said.clear()
        browser.open(f"{address}/{name}")
        browser.until(f"location.pathname === '/{name}' && document.readyState === 'complete'")
        wide, pictures = browser.value(
            "[document.documentElement.scrollWidth - innerWidth, "
            "[...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)]"
        )
        if wide > 0 or pictures or browser.said:
            wrong.append((name, wide, pictures, list(browser.said)))
    browser.close()
    assert wrong == []
