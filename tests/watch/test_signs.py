"""What is warned of while a search runs, and what only at its end."""

from made_runs import lines_of, write_lines

from mixop.report.verdict import remarks
from mixop.runs.read import read_run
from mixop.watch.signs import signs


def test_a_search_that_has_just_begun_is_not_called_undecided(run_at):
    run = run_at(epochs=20, upto="search")
    write_lines(run, [line | {"entropy": 1.6} for line in lines_of(run)[:2]])
    contents = read_run(run)
    assert "almost uniform" in " ".join(remarks(contents))
    assert signs(contents) == []


def test_the_last_warning_of_a_monitor_and_a_high_skip_share_are_said(run_at):
    run = run_at(
        epochs=6, upto="search", columns=lambda epoch: {"warning": f"at {epoch} it is sharp"} if epoch in (2, 4) else {}
    )
    write_lines(run, [line | {"skip_share": 0.625} for line in lines_of(run)])
    warning, skips = signs(read_run(run))
    assert warning == "Epoch 4: at 4 it is sharp"
    assert skips.startswith("Skip connections have 62.5 % of the mixing weight")


def test_a_finished_search_has_the_remarks_of_its_report(run_at):
    run = run_at(epochs=3, upto="architecture")
    write_lines(run, [line | {"entropy": 1.6, "skip_share": 0.75} for line in lines_of(run)])
    contents = read_run(run)
    assert signs(contents) == remarks(contents)
    assert len(signs(contents)) >= 2
