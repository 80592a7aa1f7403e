"""A script, its page and its notebook say the same."""

import ast
import json
from pathlib import Path

import pytest
from tests.test_examples import ARGUMENTS, NEEDS, SAYS

from builder import scripts
from builder.pages import TUTORIALS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))

every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)

SCRIPT = '''"""Try: a small thing.  (~2 seconds)

    python try.py [N]

prints it.
"""

import sys

# %% [markdown]
# Some *text*, with a [link](../docs/data.md) and [another](https://arxiv.org/abs/1).
#
# And more.

# %%
n = int(sys.argv[1]) if len(sys.argv) > 1 else 3
print(range(int(sys.argv[2]) if len(sys.argv) > 2 else 2), sys.argv[3] if len(sys.argv) > 3 else "small")
'''


@pytest.fixture
def script(tmp_path: Path) -> scripts.Script:
    path = tmp_path / "try_it.py"
    path.write_text(SCRIPT)
    return scripts.read(path)


def test_a_script_is_taken_apart(script: scripts.Script):
    assert (script.name, script.title, script.summary, script.takes) == ("try_it", "Try", "Try: a small thing.", "2 seconds")
    assert script.text == "    python try.py [N]\n\nprints it."
    assert [cell.kind for cell in script.cells] == ["code", "markdown", "code"]
    assert script.cells[0].source == "import sys"
    assert script.cells[1].source.endswith("\n\nAnd more.")


def test_a_notebook_has_defaults_for_arguments_and_no_links_to_neighbours(script: scripts.Script):
    book = json.loads(scripts.notebook(script, "Try"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    texts = ["".join(cell["source"]) for cell in book["cells"]]
    assert texts[-1] == 'n = 3\nprint(range(2), "small")'
    assert texts[2] == "Some *text*, with a link and [another](https://arxiv.org/abs/1).\n\nAnd more."
    assert len({cell["id"] for cell in book["cells"]}) == 4
    assert all("outputs" in cell for cell in book["cells"] if cell["cell_type"] == "code")
    given = json.loads(scripts.notebook(script, "Try", ["1", "5"]))
    assert "".join(given["cells"][-1]["source"]) == 'n = 1\nprint(range(5), "small")'


def test_every_tutorial_is_an_example():
    assert set(TUTORIALS) <= {path.stem for path in EXAMPLES}


@every_example
def test_the_cells_of_an_example_are_its_code(path: Path):
    script = scripts.read(path)
    code = "\n\n".join(cell.source for cell in script.cells if cell.kind == "code")
    whole = ast.parse(path.read_text())
    assert ast.dump(ast.parse(code)) == ast.dump(ast.Module(whole.body[1:], []))
    page = scripts.page(script, script.title)
    assert all(cell.source in page for cell in script.cells)


@every_example
def test_a_notebook_asks_for_no_arguments(path: Path):
    book = json.loads(scripts.notebook(scripts.read(path), path.stem))
    assert not [cell for cell in book["cells"] if cell["cell_type"] == "code" and "argv" in "".join(cell["source"])]


def test_the_cells_of_a_notebook_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    (path,) = (path for path in EXAMPLES if path.stem == "black_box")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in json.loads(scripts.notebook(scripts.read(path), path.stem))["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert "the optimum is" in capsys.readouterr().out


STRICT = "import warnings\n\nwarnings.simplefilter('error')"


@pytest.mark.slow
@every_example
def test_a_notebook_runs_in_jupyter_without_a_warning(path: Path, tmp_path):
    """From its first cell to its last, small, in a kernel of its own; what it prints is what the script prints."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel, of the extra 'docs'")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the extra 'docs'")
    pytest.importorskip("ipykernel", reason="needs ipykernel, of the extra 'docs'")
    if path.stem in NEEDS:
        package, source = NEEDS[path.stem]
        pytest.importorskip(package, reason=f"needs {package}, {source}")
    arguments = [word if word.replace(".", "").isdigit() else repr(word) for word in ARGUMENTS.get(path.stem, ["1"])]
    book = nbformat.reads(scripts.notebook(scripts.read(path), path.stem, arguments), as_version=4)
    nbformat.validate(book)
    book.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    nbclient.NotebookClient(book, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert SAYS[path.stem] in "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert not [output.text for output in outputs if output.get("name") == "stderr" and "Warning" in output.text]
