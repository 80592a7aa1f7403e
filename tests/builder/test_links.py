"""The check of the built site finds what is broken, and nothing else."""

from pathlib import Path

import pytest

from builder.links import faults


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "style.css").write_text("")
    (tmp_path / "index.html").write_text(
        '<link href="style.css"><h1 id="top">A</h1><a href="#top">up</a> <a href="api/x.html#b-c">x</a> <a href="api/">api</a>'
        '<a href="https://arxiv.org/abs/1806.09055">paper</a> <a href="mailto:a@b.org">us</a>'
    )
    (tmp_path / "api" / "index.html").write_text('<a href="../index.html?q=1#top">home</a>')
    (tmp_path / "api" / "x.html").write_text('<span id="b-c"></span><img src="../style.css" alt="a curve">')
    (tmp_path / "404.html").write_text('<a href="/index.html">home</a>')
    return tmp_path


def test_a_whole_site_has_no_faults(site: Path):
    assert list(faults(site)) == []


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="gone.html">x</a>', "'gone.html' leads nowhere"),
        ('<svg><a href="gone.html"><text>x</text></a></svg>', "'gone.html' leads nowhere"),
        ('<script src="gone.js"></script>', "'gone.js' leads nowhere"),
        ('<a href="index.html#bottom">x</a>', "'index.html#bottom' has an anchor that index.html lacks"),
        ('<a href="#bottom">x</a>', "'#bottom' has an anchor that the page lacks"),
        ('<a href="/index.html">x</a>', "'/index.html' begins at the root of a server, which the site need not be"),
        ('<a href="../outside.html">x</a>', "'../outside.html' leads out of the site"),
        ('<a href="https:/arxiv.org">x</a>', "'https:/arxiv.org' is no address"),
        ('<a href="javascript:void(0)">x</a>', "'javascript:void(0)' has a scheme that no page needs"),
        ('<img src="style.css">', "the picture 'style.css' has no text in its place"),
    ],
)
def test_what_is_broken_is_named(site: Path, html: str, fault: str):
    (site.parent / "outside.html").write_text("")
    (site / "page.html").write_text(html)
    assert list(faults(site)) == [f"page.html: {fault}"]
