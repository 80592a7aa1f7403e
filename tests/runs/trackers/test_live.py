"""Trackers follow runs from a thread: nothing twice, nothing lost, and no failure reaches the run."""

import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from made_runs import lines_of, write_lines

from mixop.core.errors import RecipeError, RunError, TrackerWarning
from mixop.runs import trackers
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.trackers.base import Tracker
from mixop.runs.trackers.live import Tracking, chosen, track, tracked


class Server:
    """What a tracker keeps elsewhere."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, str, int]]] = {}
        self.endings: list[str] = []
        self.down = self.deaf = False
        self.threads: set[int] = set()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()

    class Made(Tracker):
        label, module = "Made up", "made"

        def __init__(self, key: str) -> None:
            self.key, self.place = key, f"made {key}"
            self.sent = len(server.rows.setdefault(key, []))

        @classmethod
        def check(cls) -> None:
            sys.stdout.write("chatter")

        @classmethod
        def open(cls, run: Any) -> Any:
            sys.stdout.write("chatter")
            if server.down:
                raise ConnectionError("no route to host.")
            return cls(run.key)

        def log(self, number: int, row: Any) -> None:
            server.threads.add(threading.get_ident())
            if server.down:
                raise ConnectionError("no route to host.")
            if server.deaf:
                threading.Event().wait()
            server.rows[self.key].append((number, row.part, row.epoch))

        def close(self, ending: str, config: Any, files: Any) -> None:
            server.endings.append(ending)

    monkeypatch.setattr(trackers, "TRACKERS", {"made": Made})
    monkeypatch.setattr("mixop.runs.trackers.live.TRACKERS", {"made": Made})
    return server


def epochs(count: int, part: str = "search") -> list[tuple[int, str, int]]:
    return [(k, part, k) for k in range(1, count + 1)]


def test_a_run_is_followed_from_another_thread_while_it_works(run_at, server):
    run = run_at(epochs=3, upto="search")
    lines = lines_of(run)
    told: list[Any] = []
    with tracked(run, chosen("made"), told.append) as observe:
        assert observe is not None
        for count in range(1, 4):
            write_lines(run, lines[:count])
            observe({"event": "step", "epoch": count})
            observe({"epoch": count})
        whole = run / "architecture.new"  # another thread reads, so it appears at once, as a search writes it
        whole.write_text('{"native": "x"}')
        whole.replace(run / "architecture.json")
    assert list(server.rows.values()) == [epochs(3)]
    assert server.endings == ["finished"]
    assert threading.get_ident() not in server.threads
    assert len(told) == 6


def test_a_resumed_run_goes_on_with_no_point_twice(run_at, server):
    run = run_at(epochs=4, upto="search")
    lines = lines_of(run)
    write_lines(run, lines[:3])
    with suppress(InterruptedRunError), tracked(run, ["made"], None) as observe:
        assert observe is not None
        observe({"epoch": 3})
        raise InterruptedRunError("stopped", 2)
    assert server.endings == ["stopped"]
    write_lines(run, lines[:2])  # where its checkpoint was
    with tracked(run, ["made"], None) as observe:
        assert observe is not None
        observe({"event": "step"})
        write_lines(run, lines)
        observe({"epoch": 4})
    assert list(server.rows.values()) == [epochs(4)]


def test_scores_follow_the_epochs_once(run_at, server):
    run = run_at(epochs=2, rivals=(0.9,))
    for _ in range(2):
        assert track([run], "made")["made"][0].startswith("made ")
    (rows,) = server.rows.values()
    assert rows == [
        *epochs(2),
        *((2 + k, "found", k) for k in range(1, 21)),
        *((22 + k, "random-1", k) for k in range(1, 21)),
        (43, "found", 20),
        (44, "random-1", 20),
    ]


def test_a_tracker_that_fails_is_told_once_and_the_run_goes_on(run_at, server):
    run = run_at(epochs=3, upto="search")
    server.down = True
    with warnings.catch_warnings(record=True) as seen, tracked(run, ["made"], None) as observe:
        warnings.simplefilter("always")
        assert observe is not None
        for _ in range(5):
            observe({"epoch": 3})
    (told,) = [str(warning.message) for warning in seen]
    assert told.startswith(f"Made up could not take all of {run} (no route to host): the run directory has everything")
    assert seen[0].category is TrackerWarning
    server.down = False
    track([run], "made")
    assert list(server.rows.values()) == [epochs(3)]


def test_what_was_not_sent_is_sent_once_the_tracker_is_back(run_at, server):
    run = run_at(epochs=3, upto="search")
    with warnings.catch_warnings(), Tracking(["made"]) as tracking:
        warnings.simplefilter("ignore", TrackerWarning)
        server.down = True
        tracking.follow(run)
        while not tracking._told:
            threading.Event().wait(0.005)
        server.down = False
    assert list(server.rows.values()) == [epochs(3)]


def test_a_tracker_that_hangs_is_left(run_at, server):
    run = run_at(epochs=1, upto="search")
    server.deaf = True
    with (
        pytest.warns(TrackerWarning, match=r"\(made\) were not done 0 s after the end"),
        Tracking(["made"], patience=0.05) as following,
    ):
        following.follow(run)


def test_several_runs_are_followed_and_each_ends_by_itself(run_at, server):
    one, two = run_at("one", epochs=2, rivals=()), run_at("two", epochs=1, upto="search")
    with Tracking(["made"], group="all") as tracking:
        tracking.follow(one)
        tracking.follow(two)
        tracking.end(one)
    assert sorted(server.endings) == ["finished", "running"]
    assert sorted(len(rows) for rows in server.rows.values()) == [1, 2 + 20 + 1]


def test_what_a_tracker_prints_is_not_seen_and_what_others_print_is(run_at, server, capsys):
    run, before = run_at(epochs=1, upto="search"), sys.stdout
    with tracked(run, chosen("made"), None) as observe:
        assert observe is not None
        observe({"epoch": 1})
        sys.stdout.write("result")
    assert sys.stdout is before
    assert capsys.readouterr().out == "result"


def test_without_trackers_nothing_is_done(run_at):
    def observe(record: Any) -> None:
        raise AssertionError

    with tracked(Path("nowhere"), (), observe) as same:
        assert same is observe
    with Tracking([]) as tracking:
        tracking.follow(Path("nowhere"))
    assert not [thread for thread in threading.enumerate() if thread.name == "mixop-trackers" and not thread.daemon]


def test_names_and_failures_are_told_in_a_sentence(run_at, server):
    with pytest.raises(RecipeError, match=r"There is no tracker 'mde': did you mean 'made'\?"):
        chosen("mde")
    assert chosen(["made", "made"]) == ("made",)
    server.down = True
    with pytest.raises(RunError, match=r"^Made up could not take all of .* \(no route to host\): .*sends it later\.$"):
        track([run_at(epochs=1)], "made")
