"""What the server answers, to whom, and what it sends when a run goes on."""

import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from made_runs import append_line, lines_of, write_lines

from mixop.core.errors import RunError
from mixop.watch import server as server_module
from mixop.watch.server import Server


@contextmanager
def serving(folder: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    server = Server(folder, host, port=0)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def get(server: Server, path: str, **headers: str) -> tuple[http.client.HTTPResponse, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.access.port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()


class Events:
    """The events of one reader, to be closed."""

    def __init__(self, server: Server, query: str = "") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.access.port, timeout=30)
        self.connection.request("GET", f"/events{query}")
        self.answer = self.connection.getresponse()

    def close(self) -> None:
        self.answer.close()
        self.connection.close()

    def next(self) -> dict[str, Any]:
        line = self.answer.readline()
        while not line.startswith(b"data: "):
            assert line, "the events have ended"
            line = self.answer.readline()
        return json.loads(line[6:])


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SECONDS", 0.02)


def test_points_come_as_they_are_written(run_at):
    run = run_at(epochs=4, upto="search")
    lines = lines_of(run)
    write_lines(run, lines[:2])
    with serving(run) as server, closing(Events(server)) as events:
        first = events.next()
        assert first["order"] == list(first["changed"]) == ["head", "facts", "search", "cell", "weights", "changes"]
        assert "at epoch 2" in first["changed"]["search"]
        append_line(run, lines[2])
        second = events.next()
        assert second["order"] == first["order"]
        assert "at epoch 3" in second["changed"]["search"]
        assert "3 of 4 epochs" in second["changed"]["head"]


def test_two_readers_see_what_each_has_chosen(run_at, tmp_path: Path):
    for name in ("a", "b"):
        run_at(name, epochs=2, upto="search")
    with serving(tmp_path / "runs") as server, closing(Events(server)) as both, closing(Events(server, "?run=1")) as one:
        assert "overlay" in both.next()["order"]
        assert "cell" in one.next()["order"]


def test_the_page_and_what_it_loads_are_small_and_its_own(run_at):
    with serving(run_at(epochs=2, upto="search")) as server:
        page, text = get(server, "/?run=0&run=nothing&run=-1")
        assert page.status == 200
        assert 'data-events="events?run=0"' in text
        assert "'unsafe-eval'" not in page.headers["Content-Security-Policy"]
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        script, code = get(server, "/watch.js")
        style, rules = get(server, "/watch.css")
        assert (script.headers["Content-Type"], style.headers["Content-Type"]) == (
            "text/javascript; charset=utf-8",
            "text/css; charset=utf-8",
        )
        assert len(text) + len(code) + len(rules) < 40_000
        assert "http://" not in text + code


@pytest.mark.parametrize(
    "path",
    ["/metrics.jsonl", "/../metrics.jsonl", "/..%2f..%2fetc/passwd", "//etc/passwd", "/watch.css/../../pages.py",
     "/watch.py", "/%00"],
)  # fmt: skip
def test_no_path_of_a_request_reaches_a_file(run_at, path: str, monkeypatch: pytest.MonkeyPatch):
    opened = []
    with serving(run_at(epochs=2, upto="search")) as server:
        monkeypatch.setattr(os, "open", lambda *args, **options: opened.append(args))
        answer, text = get(server, path)
        monkeypatch.undo()
    assert answer.status == 404
    assert text == "There is nothing here; the page is at /.\n"
    assert not opened


def test_an_address_that_is_none_is_refused_too(run_at):
    with (
        serving(run_at(epochs=2, upto="search")) as server,
        closing(http.client.HTTPConnection("127.0.0.1", server.access.port, timeout=30)) as connection,
    ):
        connection.putrequest("GET", "http://[etc/passwd", skip_host=True)
        connection.putheader("Host", "127.0.0.1")
        connection.endheaders()
        with closing(connection.getresponse()) as answer:
            assert answer.status == 404


def test_other_names_of_the_machine_are_refused(run_at):
    with serving(run_at(epochs=2, upto="search")) as server:
        for path in ("/", "/events", "/watch.js"):
            answer, text = get(server, path, Host=f"evil.example:{server.access.port}")
            assert answer.status == 403
            assert "data" not in text
        assert get(server, "/", Host=f"localhost:{server.access.port}")[0].status == 200


def test_other_methods_are_refused_in_a_sentence(run_at):
    with serving(run_at(epochs=2, upto="search")) as server:
        with closing(http.client.HTTPConnection("127.0.0.1", server.access.port, timeout=30)) as connection:
            connection.request("POST", "/", body="x")
            answer = connection.getresponse()
            said = answer.status, answer.read()
        assert said == (501, b"This is not a request that mixop watch answers.\n")


def test_for_others_everything_needs_the_token(run_at):
    with serving(run_at(epochs=2, upto="search"), host="0.0.0.0") as server:
        token = server.access.token
        assert server.url == f"http://{socket.gethostname()}:{server.access.port}/?token={token}"
        for path in ("/", "/events", "/watch.js", "/watch.css", "/?token=wrong", "/?token="):
            answer, text = get(server, path)
            assert answer.status == 403
            assert text == "This page needs the token of the address that mixop watch printed.\n"
        asked = urlsplit(server.url)
        answer, _ = get(server, f"{asked.path}?{asked.query}")
        assert (answer.status, answer.headers["Location"]) == (303, "./")
        cookie, *rest = answer.headers["Set-Cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict"} <= set(rest)
        for path in ("/", "/watch.js"):
            assert get(server, path, Cookie=cookie)[0].status == 200


def test_on_this_machine_the_address_has_no_token(run_at):
    with serving(run_at(epochs=2, upto="search")) as server:
        assert server.url == f"http://127.0.0.1:{server.access.port}/"


def test_a_stopped_server_ends_its_events_and_frees_its_port(run_at):
    run = run_at(epochs=2, upto="search")
    with serving(run) as server:
        events = Events(server)
        events.next()
    with closing(events):
        assert events.answer.read().strip() == b""
    with pytest.raises(ConnectionRefusedError):
        get(server, "/")
    Server(run, port=server.access.port).stop()


def test_a_reader_that_goes_ends_its_thread(run_at):
    run = run_at(epochs=2, upto="search")
    line = lines_of(run)[0]
    with serving(run) as server:
        before = threading.active_count()
        with closing(Events(server)) as events:
            events.next()
            assert threading.active_count() == before + 1
        for epoch in range(3, 400):  # it is noticed when something is sent
            if threading.active_count() == before:
                break
            with (run / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(line | {"epoch": epoch}) + "\n")
            threading.Event().wait(0.02)
        assert threading.active_count() == before


def test_more_readers_than_there_is_room_for_are_turned_away(run_at, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "READERS", 1)
    with serving(run_at(epochs=2, upto="search")) as server, closing(Events(server)) as events:
        events.next()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            get(server, "/")


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99999), ("192.0.2.1", 0), ("nowhere.invalid", None)])
def test_where_nothing_can_listen_is_said_in_a_sentence(tmp_path: Path, host: str, port: int | None):
    with pytest.raises(RunError, match=r"^Cannot listen on .*, port \d+ \(.*\): give another --port, .*--host\.$"):
        Server(tmp_path, host, port)


def test_the_usual_port_may_be_taken_but_an_asked_one_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(server_module, "PORT", taken)
        server = Server(tmp_path)
        assert server.access.port != taken
        server.stop()
        with pytest.raises(RunError, match="Cannot listen"):
            Server(tmp_path, port=taken)
