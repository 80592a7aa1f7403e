"""``mixop watch`` as a user meets it: an address, a page, an end without a word; errors are one sentence."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from made_runs import make_run

import mixop.cli
from mixop.cli import main

SRC = str(Path(mixop.cli.__file__).parents[2])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_the_page_is_and_ends_quietly(tmp_path: Path, signum: signal.Signals):
    run = make_run(tmp_path / "run", epochs=2, upto="search")
    code = "import sys; from mixop.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "watch", str(run), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": SRC}
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = [process.stdout.readline() for _ in range(3)]
        address = re.search(r"http://127\.0\.0\.1:\d+/", said[1])
        assert address is not None
        with urllib.request.urlopen(address[0]) as answer:
            assert "<title>run " in answer.read().decode()
        process.send_signal(signum)
        rest = process.communicate(timeout=30)
    assert (process.returncode, *rest) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "There is no directory nowhere: give the --out of a search, or a directory with several runs.\n"),
        ([".", "--port", "70000"], "Cannot listen on 127.0.0.1, port 70000 "),
        ([".", "--host", "nowhere.invalid"], "Cannot listen on nowhere.invalid, port 8642 "),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], sentence: str
):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *words]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith(sentence)
