"""``mixop list published``: every table under its data set, in 80 columns, and all that is known as JSON."""

import json
from collections.abc import Callable

import pytest

from mixop.cli import main
from mixop.comparison.survey import TABLES, TITLES
from mixop.report.palette import ABSENT


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setenv("COLUMNS", "80")

    def show(*words: str) -> str:
        assert main(["list", *words]) == 0
        return capsys.readouterr().out

    return show


def test_tables_stand_under_their_data_sets(shown: Callable[..., str]):
    text = shown("published")
    lines = text.splitlines()
    assert [line for line in lines if line in TITLES.values()] == list(TITLES.values())
    assert "cifar10-drnas: Chen et al. 2021 (arXiv:2006.10355), table 2" in lines
    cells = {" ".join(line.split()) for line in lines}
    assert "DARTS (2nd) darts2 2.76 +- 0.09 3.3 1" in cells
    assert "SETN setn 32.54 +- 3.63 ? 31.90 +- 4.07 ? 31,010" in cells
    assert "DrNAS drnas s3 2.40" in cells  # printed as 2.4, among numbers of two digits
    assert f"NAS {ABSENT} 64.0 25 10,000 CPU days" in cells
    assert "ProxylessNAS: another space, on a PyramidNet." in lines


def test_every_line_of_a_table_fits_into_80_columns(shown: Callable[..., str]):
    sources = {numbers[0].source for numbers in TABLES.values()}
    for line in shown("published").splitlines():
        prose = line.endswith(".") or any(source in line for source in sources)  # a terminal wraps it
        assert prose or len(line) <= 80, line


def test_in_the_list_of_everything_a_table_is_a_line(shown: Callable[..., str]):
    text = shown()
    assert "nasbench201-carried" in text
    assert "54 numbers on CIFAR-10, CIFAR-100, ImageNet16-120: Dong & Yang 2020 (arXiv:2001.00326), table 5" in text


def test_json_has_every_number(shown: Callable[..., str]):
    of_topic, of_all = json.loads(shown("published", "--json")), json.loads(shown("--json"))
    assert of_topic == {"published": {name: [number.to_json() for number in numbers] for name, numbers in TABLES.items()}}
    assert of_all["published"] == of_topic["published"]
    assert of_all["recipes"]["darts"].startswith("DARTS")
