"""The page in a real browser: points appear, the console is quiet, keys and a phone's width work, long files are fluent."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from made_runs import lines_of, make_run, write_lines

import mixop
from mixop.watch.server import Server

pytestmark = pytest.mark.usefixtures("drawn")

LIVE = "document.getElementById('status')?.textContent === 'live' && document.querySelectorAll('#parts section').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests of this file: it takes a second to begin."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def shown(browser: Browser) -> Iterator[Callable[..., Browser]]:
    """Shows the page of a directory in the browser; what the console says at its end must be nothing."""
    servers: list[Server] = []

    def show(folder: Path, query: str = "", **window: Any) -> Browser:
        server = Server(folder, port=0)
        servers.append(server)
        server.start()
        browser.window(**window)
        browser.open(server.url + query)
        browser.until(LIVE)
        return browser

    browser.said.clear()
    yield show
    browser.value("1")  # what was said until now is noted before the answer
    said = list(browser.said)
    browser.open("about:blank")
    for server in servers:
        server.stop()
    assert said == []


def points(browser: Browser) -> int:
    """Points of the first curve of the page."""
    return browser.value(
        "(document.querySelector('#search .plot path[style*=\"--accent\"]').getAttribute('d').match(/[ML]/g) || []).length"
    )


def test_points_appear_as_epochs_end(tmp_path: Path, shown):
    run = make_run(tmp_path / "run", epochs=30, upto="search")
    lines = lines_of(run)
    write_lines(run, lines[:3])
    browser = shown(run)
    assert points(browser) == 3
    browser.value("document.querySelector('#search .plot').dataset.old = 1")
    write_lines(run, lines[:20])
    browser.until("!document.querySelector('#search .plot').dataset.old")
    assert points(browser) == 20
    assert "20 of 30 epochs" in browser.value("document.getElementById('verdict').textContent")


def test_keys_reach_everything_and_what_a_reader_did_stays(tmp_path: Path, shown):
    """Tab goes through the page in its order, space marks a run, Enter follows a link; a part that is replaced keeps it."""
    for name in ("a", "b", "c"):
        run = make_run(tmp_path / "runs" / name, epochs=10, upto="search")
    lines = lines_of(run)
    write_lines(run, lines[:5])
    browser = shown(tmp_path / "runs")
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    seen = []
    while "Choose b" not in seen:
        browser.press("Tab")
        seen.append(browser.value(focused))
        assert len(seen) < 40
    assert seen[:4] == ["mixop", "Curves", "Score against cost", "Runs"]
    assert seen[-4:] == ["Table of runs", "Choose a", "a", "Choose b"]
    browser.press(" ", " ")
    browser.value("document.querySelector('#runs').dataset.old = 1")
    write_lines(run, lines[:8])
    browser.until(
        "!document.querySelector('#runs').dataset.old && document.querySelector('#runs').textContent.includes('8 of 10')"
    )
    assert browser.value(focused) == "Choose b"
    assert browser.value("[...document.querySelectorAll('input:checked')].map(e => e.ariaLabel)") == ["Choose b"]
    browser.press("Tab")
    browser.press("Enter", "\r")
    browser.until(f"document.querySelector('h1')?.textContent === 'b' && {LIVE}")
    assert browser.value("location.search").startswith("?run=")


@pytest.mark.parametrize("query", ["", "?run=0"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(tmp_path: Path, shown, query: str):
    for name in ("with-a-rather-long-name-of-a-run-0", "b"):
        make_run(tmp_path / "runs" / name, epochs=5, upto="search", groups=("normal", "reduce"))
    browser = shown(tmp_path / "runs", query, width=390, height=844, phone=True)
    found = browser.value(
        "({wide: document.documentElement.scrollWidth - innerWidth, width: innerWidth, "
        "small: [...document.querySelectorAll('nav a, button')].filter(e => e.getBoundingClientRect().height < 24).length})"
    )
    assert found == {"wide": 0, "width": 390, "small": 0}


@pytest.mark.slow
def test_a_hundred_runs_stay_fluent(tmp_path: Path, shown):
    for number in range(100):
        make_run(tmp_path / "runs" / f"trial-{number}", epochs=30, upto="search")
    browser = shown(tmp_path / "runs")
    browser.until("document.querySelectorAll('#runs tbody tr').length", lambda count: count == 100)
    assert browser.value("document.querySelectorAll('#overlay .plot')[0].querySelectorAll('path[style*=\"--\"]').length") >= 100
    check_fluent(browser)


@pytest.mark.slow
def test_five_thousand_epochs_stay_fluent(tmp_path: Path, shown):
    run = make_run(tmp_path / "run", epochs=5000, upto="search")
    browser = shown(run)
    browser.until("document.getElementById('verdict').textContent", lambda text: "5,000 of 5,000" in text)
    assert points(browser) <= 3002
    check_fluent(browser)


def check_fluent(browser: Browser) -> None:
    """Laying out all of the page anew takes less than a second even on a busy machine, and it is small."""
    took, size = browser.value(
        "(() => { const began = performance.now(); for (const part of document.getElementById('parts').children) "
        "part.innerHTML = part.innerHTML; document.documentElement.getBoundingClientRect(); "
        "return [performance.now() - began, document.getElementById('parts').innerHTML.length]; })()"
    )
    assert took < 1000
    assert size < 2_000_000


@pytest.mark.slow
def test_a_real_search_is_followed_from_its_first_epoch_to_its_end(tmp_path: Path, shown):
    """A process searches; the page, which was there before it, shows the run, its epochs and what was found."""
    (tmp_path / "runs").mkdir()
    words = [
        "search",
        "--recipe",
        "darts",
        "--space",
        "toy",
        "--data",
        "toy",
        "--data.n",
        "4096",
        "--epochs",
        "40",
        "--quiet",
        "--out",
    ]
    command = [sys.executable, "-m", "mixop", *words, str(tmp_path / "runs" / "x")]
    browser = None
    with subprocess.Popen(command, env={"PYTHONPATH": str(Path(mixop.__file__).parents[1]), "OMP_NUM_THREADS": "1"}) as search:
        while not (tmp_path / "runs" / "x" / "metrics.jsonl").exists():
            assert search.poll() is None
            time.sleep(0.02)
        browser = shown(tmp_path / "runs")
        epochs = browser.value("document.getElementById('verdict').textContent")
        browser.until("document.getElementById('verdict').textContent", lambda text: text != epochs)
    assert search.returncode == 0
    browser.until("document.getElementById('verdict').textContent", lambda text: text.startswith("Finished: 40 of 40"))
    assert browser.value("document.querySelector('#cell h2').textContent") == "The found cell"
    assert json.loads((tmp_path / "runs" / "x" / "architecture.json").read_text())
