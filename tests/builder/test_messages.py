"""The sentences of errors, as the pages have them, are those of the code."""

import re
from pathlib import Path

import pytest

from builder.messages import HOLE, error_classes, matches, messages
from mixop.cli import main
from mixop.core import errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "mixop"
SENTENCES = [sentence for rooms in messages(PACKAGE).values() for found in rooms.values() for sentence in found]
QUOTES = re.findall(r"^> (.*)$", (ROOT / "docs" / "troubleshooting.md").read_text(), flags=re.MULTILINE)


def test_sentences_are_read_from_the_code(tmp_path):
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "errors.py").write_text(
        'class DataError:\n    """Data."""\nclass MissingExtraError:\n    """Extra."""\n'
    )
    (tmp_path / "data.py").write_text(
        'raise DataError(f"Got {x}{y}: " + more + "give it.")\n'
        'raise DataError(unknown("set", x, y))\n'
        'raise ValueError("not ours")\n'
        'raise MissingExtraError("pillow", "images", "Reading")\n'
        'package("optuna", "Tuning")\n'
    )
    assert messages(tmp_path) == {
        "DataError": {"data": [f"Got {HOLE}: {HOLE}give it.", f"There is no {HOLE} {HOLE}: {HOLE}"]},
        "MissingExtraError": {
            "data": [
                "Reading needs pillow, which is not installed: pip install 'mixop[images]'",
                "Tuning needs optuna, which is not installed: pip install 'mixop[hpo]'",
            ]
        },
    }


def test_the_classes_are_those_of_mixop():
    assert set(error_classes(PACKAGE)) == {name for name in vars(errors) if name.endswith("Error")}


def test_a_message_belongs_to_the_sentence_that_it_was_made_from():
    assert matches("There is no … …: give the --out.", "There is no run x: give the --out.")
    assert not matches("There is no … …: give the --out.", "There is no run x: give it.")
    assert matches("It is torn; ….", "It is torn; …")
    assert matches("It is torn; ….", "It is torn; resume it.")
    assert not matches("It is torn; ….", "It is whole; …")


@pytest.mark.parametrize("quote", QUOTES)
def test_every_message_of_the_page_is_one_of_the_code(quote: str):
    # A sentence of two words and holes would fit everything.
    assert any(matches(sentence, quote) for sentence in SENTENCES if len(sentence.replace(HOLE, "")) > 12)


@pytest.mark.parametrize(
    "command",
    [
        ["search", "--recipe", "dart"],
        ["find", "photos"],
        ["resume", "runs/y"],
    ],
    ids=" ".join,
)
def test_what_is_printed_is_on_the_page(command: list[str], tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert any(re.search(".*".join(map(re.escape, quote.split(HOLE))), said) for quote in QUOTES), said
