"""Pages of reports taken apart, and shown by a browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}

MEASURE = """<script>
const box = e => e.getBoundingClientRect();
document.title = JSON.stringify({
  overflow: document.documentElement.scrollWidth - window.innerWidth,
  flat: [...document.querySelectorAll("section")].filter(e => box(e).height < 60).map(e => e.id),
  loose: [...document.querySelectorAll(".mixop-cell g")].filter(g => g.querySelector("rect") && g.querySelector("text"))
    .filter(g => box(g.querySelector("text")).width > box(g.querySelector("rect")).width).map(g => g.textContent),
  ground: getComputedStyle(document.body).backgroundColor,
  curve: getComputedStyle(document.querySelector(".plot path[style*='--accent']")).stroke,
});
</script>"""


BROKEN = """<style>body { max-width: WIDTHpx; }</style><script>
const broken = [], walker = document.createTreeWalker(document.querySelector("#recipe"), NodeFilter.SHOW_TEXT);
for (let text; (text = walker.nextNode());)
  for (const word of text.data.matchAll(/[\\w.]+/g)) {
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) broken.push(word[0]);
  }
const drawing = document.querySelector(".mixop-cell"), frame = drawing.parentElement;
document.title = JSON.stringify({
  broken: broken, wide: document.body.scrollWidth - document.body.clientWidth,
  drawing: drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width,
  scrolls: frame.scrollWidth > frame.clientWidth,
});
</script>"""
"""Words of the recipe that are broken in a page of a width, and how large a drawing is there."""


class Page(HTMLParser):
    """A page taken apart: text and attributes, with every open tag closed again."""

    def __init__(self, markup):
        super().__init__()
        self.open, self.tags, self.texts, self.section = [], [], {}, None
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "section":
            self.section = dict(attributes)["id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self.section = None

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts[self.section] = self.texts.get(self.section, "") + data

    def text(self, section=None):
        return re.sub(r"\s+", " ", self.texts[section])


def chromium(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", profile]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
