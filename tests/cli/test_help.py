"""What a newcomer reads."""

from pathlib import Path

import pytest

from mixop import __version__
from mixop.cli import main
from mixop.cli.arguments import known_flags, parse
from mixop.cli.commands import COMMANDS
from mixop.cli.tree import arguments_of

every_command = pytest.mark.parametrize("name", list(COMMANDS))


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_overview_names_every_command_and_a_first_run(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]):
    page = shown(capsys, *words)
    for name in COMMANDS:
        assert f"\n  {name} " in page
    assert "mixop search --recipe drnas" in page


def test_version(capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, "--version") == f"{__version__}\n"


@every_command
def test_every_flag_is_on_the_page(capsys: pytest.CaptureFixture[str], name: str):
    page = shown(capsys, name, "--help")
    assert page.startswith(f"usage: mixop {name}")
    for flag in known_flags(COMMANDS[name], parse(COMMANDS[name], ["--help"]).trees):
        assert f"  {flag}" in page, flag
    for example in COMMANDS[name].examples:
        assert example in page


@every_command
def test_every_option_is_explained(name: str):
    command = COMMANDS[name]
    assert arguments_of(command.options).keys() == command.options.__dataclass_fields__.keys() - {"_"}


@every_command
def test_examples_are_understood(name: str):
    for example in COMMANDS[name].examples:
        assert example.startswith(f"mixop {name} ") or example == f"mixop {name}"
        parse(COMMANDS[name], example.split()[1 + len(name.split()) :])


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_pages_fit_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int):
    monkeypatch.setenv("COLUMNS", str(columns))
    page = shown(capsys, "resume", "--help")
    assert max(map(len, page.splitlines())) <= min(columns, 100)
    assert "saves after every step" in " ".join(page.split())


def test_the_page_shows_what_the_names_stand_for(capsys: pytest.CaptureFixture[str]):
    page = shown(capsys, "search", "--help", "--recipe", "gaea", "--data", "npz", "--recipe.relaxation", "Softmax")
    assert "The method, --recipe gaea" in page
    assert "--recipe.relaxation.temperature NUMBER" in page
    assert "--recipe.architecture-optimiser.minimum NUMBER" in page
    assert "[required]" in page


def test_places_that_may_be_left_out_and_switches(capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, "list", "--help").startswith("usage: mixop list [TOPIC] [flags]")
    assert "\n  --tensorboard  " in shown(capsys, "report", "--help")


@pytest.mark.parametrize(("name", "table"), [("search", "recipe"), ("retrain", "protocol"), ("evaluate", "data")])
def test_the_file_on_the_page_works(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, table: str):
    page = shown(capsys, name, "--help")
    example = page[page.index("[settings]") : page.index("Flags win")]
    path = tmp_path / "settings.toml"
    path.write_text("\n".join(line.strip() for line in example.splitlines()))
    words = [] if name == "search" else ["runs/x"]
    assert parse(COMMANDS[name], [*words, "--config", str(path)]).build(table) is not None
