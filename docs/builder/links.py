"""Every link of the built site leads somewhere: ``PYTHONPATH=docs python -m builder.links build/site``.

The builder of the site looks at links of pages to pages. What it does not see are links that pages hold as HTML, in drawings
and menus, files beside the pages, and anchors that it makes itself. Addresses elsewhere are looked at for their form only, so
that no network is needed.
"""

import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

ELSEWHERE = ("http", "https")
"""What an address elsewhere begins with."""


class Page(HTMLParser):
    """What a page links to and what can be linked on it, in its order.

    Args:
        text: the page's HTML.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.undescribed: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := given.get(name)) is not None]
        self.anchors |= {value for name in ("id", "name") if (value := given.get(name))}
        if tag == "img" and not given.get("alt"):
            self.undescribed.append(given.get("src") or "")


@cache
def read(path: Path) -> Page:
    """A page taken apart, once."""
    return Page(path.read_text())


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the links and pictures of a site, a line for each.

    Args:
        site: the folder of the built site.
    """
    for path in sorted(set(site.rglob("*.html")) - {site / "404.html"}):  # which a server shows at any address
        page, name = read(path), path.relative_to(site)
        for link in dict.fromkeys(page.links):
            if fault := _fault(link, path, site):
                yield f"{name}: {link!r} {fault}"
        for picture in page.undescribed:
            yield f"{name}: the picture {picture!r} has no text in its place"


def _fault(link: str, path: Path, site: Path) -> str:
    """What is wrong with a link of a page; nothing if it is right."""
    parts = urlsplit(link)
    if parts.scheme in ELSEWHERE:
        return "" if "." in parts.netloc and " " not in link else "is no address"
    if parts.scheme:
        return "" if parts.scheme in ("data", "mailto") else "has a scheme that no page needs"
    address, anchor = urldefrag(link)
    target = path if not parts.path else path.parent / unquote(parts.path)
    if parts.path.startswith("/"):
        return "begins at the root of a server, which the site need not be"
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return "leads nowhere"
    if site.resolve() not in target.resolve().parents:
        return "leads out of the site"
    if anchor and target.suffix == ".html" and unquote(anchor) not in read(target).anchors:
        return f"has an anchor that {address or 'the page'} lacks"
    return ""


if __name__ == "__main__":
    sys.exit("\n".join(faults(Path(sys.argv[1]))) or None)
