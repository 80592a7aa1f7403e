"""What a newcomer reads: it is true, it fits the terminal, and it comes without waiting for torch."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import mixop.cli
from mixop import __version__
from mixop.cli import help, main
from mixop.cli.arguments import known_flags, own_tree, parse, settings_tree
from mixop.cli.commands import COMMANDS
from mixop.cli.contestants import TOY_BATCH, TOY_EPOCHS, source_for
from mixop.cli.training import GIVEN_DATA, GIVEN_SPACE, KNOWN_NETWORKS, RANDOM
from mixop.cli.tree import arguments_of, flag_of
from mixop.spaces import NasBench201
from mixop.spaces.toy import Toy

every_command = pytest.mark.parametrize("name", list(COMMANDS))
SRC = str(Path(mixop.cli.__file__).parents[2])
HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "rich", "jinja2")
LINES = 60
"""Of a short page, at most, at 80 columns."""


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 0
    return capsys.readouterr().out


def one_line(page: str) -> str:
    """A page without its line breaks, commands as they are typed on one line."""
    return " ".join(page.replace("\\\n", " ").split())


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",), ("--help-all",)])
def test_the_overview_names_every_command_and_a_first_run(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]):
    page = shown(capsys, *words)
    for name in COMMANDS:
        assert f"\n  {name} " in page
    assert "mixop find digits" in page


def test_the_overview_of_a_group_names_its_commands_only(capsys: pytest.CaptureFixture[str]):
    page = shown(capsys, "table", "--help")
    assert "\n  table build " in page
    assert "\n  find " not in page
    assert "mixop find digits" not in page


def test_version(capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, "--version") == f"{__version__}\n"


PAGES = [("--help",), ("--version",), ("table", "--help"), *((*name.split(), "--help") for name in COMMANDS)]


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_help_does_not_wait_for_what_computes(words: tuple[str, ...]):
    """Torch alone takes seconds to import; without it a page is there in a tenth of a second (studies/help_time.py)."""
    code = (
        "import sys; from mixop.cli import main; code = main(sys.argv[1:]); "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": SRC}
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout


@every_command
def test_the_short_page_is_one_screen_of_what_most_people_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv("COLUMNS", "80")
    page = shown(capsys, *name.split(), "--help")
    command = COMMANDS[name]
    assert page.startswith(f"usage: mixop {name}")
    assert len(page.splitlines()) <= LINES
    assert (f"mixop {name} --help-all" in one_line(page)) == bool(command.rare or command.values)
    for option in command.options.__dataclass_fields__.keys() - {"_", *command.rare}:
        assert f"\n  {option.upper() if option in command.places else flag_of((option,))} " in page
    for example in command.examples:
        assert example in one_line(page)
    assert shown(capsys, *name.split(), "-h") == page


def test_a_search_in_short(capsys: pytest.CaptureFixture[str]):
    page = shown(capsys, "search", "--help")
    flags = re.findall(r"^  (--[a-z-]+)", page, flags=re.MULTILINE)
    assert flags == [
        *("--recipe", "--space", "--data", "--minutes", "--out", "--seeds"),
        *("--epochs", "--batch-size", "--seed", "--device", "--watch"),
        *("--config", "--quiet", "--json", "--debug"),
    ]


@every_command
def test_every_flag_is_on_the_whole_page(capsys: pytest.CaptureFixture[str], name: str):
    page = shown(capsys, *name.split(), "--help-all")
    assert page.startswith(f"usage: mixop {name}")
    for flag in known_flags(COMMANDS[name], parse(COMMANDS[name], ["--help-all"]).trees):
        assert f"  {flag}" in page, flag
    for example in COMMANDS[name].examples:
        assert example in one_line(page)


def entries(page: str) -> dict[str, str]:
    """What a page says of each flag that has no dot, on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in page.splitlines():
        if start := re.match(r"  (--[a-z-]+)(?= |$)", line):
            name = start[1]
            found[name] = line[len(start[0]) :]
        elif name and line.startswith(" " * help.COLUMN):
            found[name] += " " + line.strip()
        else:
            name = ""
    return {name: " ".join(text.split()) for name, text in found.items()}


def default_of(text: str) -> str | None:
    """What stands in brackets at the end."""
    stated = re.search(r"\[([^]]*)\]$", text)
    return stated[1] if stated else None


@every_command
def test_the_defaults_on_the_short_page_are_those_of_the_parser(capsys: pytest.CaptureFixture[str], name: str):
    command = COMMANDS[name]
    page = entries(shown(capsys, *name.split(), "--help"))
    parsed = parse(command, ["--help-all"])
    used = {knob.path[0]: knob.default for tree in (own_tree(command), settings_tree()) for knob in tree.knobs()}
    for flag, text in page.items():
        option = flag.removeprefix("--").replace("-", "_")
        stated = default_of(text)
        if option in command.shortcuts:
            word, field = command.shortcuts[option].path
            knob = next(knob for knob in parsed.trees[word].knobs() if knob.path == (field,))
            assert stated in (knob.default, f"the {word}'s own")
            assert command.shortcuts[option].takes.removesuffix("|auto") == knob.takes
        elif used[option] == "false":
            assert stated is None
        elif used[option] not in (None, "none"):
            assert stated == used[option]


STATED = {
    ("compare", "data"): f"{source_for(Toy()).name} for the space toy, else {source_for(NasBench201()).name}",
    ("compare", "epochs"): f"{TOY_EPOCHS} on the space toy, else each recipe's own",
    ("compare", "batch_size"): f"{TOY_BATCH} on the space toy, else each recipe's own",
    ("retrain", "space"): GIVEN_SPACE,
    ("retrain", "data"): GIVEN_DATA,
    ("retrain", "random"): f"{RANDOM} after a search, else 0",
    ("retrain", "known"): f"{KNOWN_NETWORKS} beside random ones, 0 with --minutes",
}
"""Defaults that no field holds, because they depend on other flags: what the code says, as the docstring has to put it."""


def test_defaults_in_words_are_those_of_the_code():
    for (name, option), text in STATED.items():
        assert default_of(arguments_of(COMMANDS[name].options)[option]) == text


@every_command
def test_a_default_is_written_once(name: str):
    """A docstring states one only where the field is None, so that the two cannot disagree."""
    command = COMMANDS[name]
    for knob in own_tree(command).knobs():
        if knob.default not in (None, "none"):
            assert default_of(knob.help) is None, knob


@every_command
def test_every_option_is_explained(name: str):
    command = COMMANDS[name]
    assert arguments_of(command.options).keys() == command.options.__dataclass_fields__.keys() - {"_"}


@every_command
def test_examples_are_understood(name: str, monkeypatch: pytest.MonkeyPatch):
    def net(outputs: int, width: int = 8) -> None: ...

    theirs = types.ModuleType("my_package.nets")  # a module of the reader's
    theirs.Net = net  # type: ignore[attr-defined]
    for module in (types.ModuleType("my_package"), theirs):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for example in COMMANDS[name].examples:
        assert example.startswith(f"mixop {name} ") or example == f"mixop {name}"
        parse(COMMANDS[name], example.split()[1 + len(name.split()) :])


@every_command
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_short_pages_fit_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, name: str
):
    monkeypatch.setenv("COLUMNS", str(columns))
    page = shown(capsys, *name.split(), "--help")
    assert max(map(len, page.splitlines())) <= min(columns, help.WIDEST)


@every_command
def test_whole_pages_fit_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv("COLUMNS", "80")
    page = shown(capsys, *name.split(), "--help-all")
    assert max(map(len, page.splitlines())) <= 80


def test_a_choice_too_long_for_a_line_is_written_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    page = one_line(shown(capsys, "search", "--help-all"))
    assert "--recipe.weight-optimiser.lr NUMBER|NAME learning rate" in page
    assert "NAME: Constant, Linear, Cosine, CosineRestarts, Exponential, LinearWithTail or Joined. [Cosine]" in page
    assert "--recipe.regularisers NAME,... terms" in page
    assert "--recipe.weight-relaxation none|NAME from" in page


def test_the_page_shows_what_the_names_stand_for(capsys: pytest.CaptureFixture[str]):
    page = shown(capsys, "search", "--help-all", "--recipe", "gaea", "--data", "npz", "--recipe.relaxation", "Softmax")
    assert "The method, --recipe gaea" in page
    assert "--recipe.relaxation.temperature NUMBER" in page
    assert "--recipe.architecture-optimiser.minimum NUMBER" in page
    assert "[required]" in page


def test_places_that_may_be_left_out_and_switches(capsys: pytest.CaptureFixture[str]):
    assert shown(capsys, "list", "--help").startswith("usage: mixop list [TOPIC] [flags]")
    assert "\n  --reveal-test  " in shown(capsys, "table", "show", "--help")


@pytest.mark.parametrize(("name", "table"), [("search", "recipe"), ("retrain", "protocol"), ("evaluate", "data")])
def test_the_file_on_the_page_works(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, table: str):
    page = shown(capsys, name, "--help-all")
    example = page[page.index("[settings]") : page.index("A flag wins")]
    path = tmp_path / "settings.toml"
    path.write_text("\n".join(line.strip() for line in example.splitlines()))
    words = [] if name == "search" else ["runs/x"]
    assert parse(COMMANDS[name], [*words, "--config", str(path)]).build(table) is not None
