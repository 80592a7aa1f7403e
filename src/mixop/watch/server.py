"""Serves the page: four answers, by the standard library's server, and events as long as somebody looks.

A request chooses among them by its path, and runs by their numbers. Nothing of it ever becomes the name of a file.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mixop.core.errors import RunError
from mixop.watch.access import Access, is_loopback, new_token
from mixop.watch.follow import Follower
from mixop.watch.pages import Pages, Parts, page, style

PORT = 8642
"""The port, where it is free and none was asked for."""

SECONDS = 1.0
"""Between two looks, at least."""

SHARE = 4.0
"""A look is followed by a pause of as many times its own length, so that watching leaves the cores to the search."""

BEAT = 15.0
"""Seconds without an event after which a comment is sent, to notice a reader that has gone."""

READERS = 24
"""Connections at a time."""

REQUEST_SECONDS = 20.0
"""That a request may take to come in, and a reader to take what it is sent."""

NOTHING = "There is nothing here; the page is at /."

_ALL = ("", "0.0.0.0", "::")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Board:
    """What all readers look at: one follower, and one set of parts for each choice of runs. May be used from several threads.

    Args:
        folder: the directory that is watched.

    Raises:
        RunError: if it is none.
    """

    def __init__(self, folder: str | Path) -> None:
        self.follower = Follower(folder)
        self._pages = Pages(self.follower)
        # Drawing sets matplotlib's defaults for the process, so it is done by one thread at a time.
        self._lock = threading.Lock()
        self._looked = 0.0

    def parts(self, chosen: tuple[int, ...]) -> tuple[Parts, float]:
        """The parts of a page as they are now, and the seconds to wait before the next look."""
        with self._lock:
            began = time.monotonic()
            if began - self._looked >= SECONDS or self.follower.more:
                self.follower.look()
                self._looked = began
            parts = self._pages.parts(chosen)
            return parts, max(SECONDS, SHARE * (time.monotonic() - began))

    def page(self, query: str) -> str:
        """The page without its parts."""
        with self._lock:
            return page(self.follower, query)


class Server:
    """The server, which listens from the beginning; `start` lets it answer.

    Args:
        folder: the directory that is watched.
        host: address or name to listen on; any but the loopback address asks for a token.
        port: to listen on, 0 for any free one; None for `PORT`, or any free one where that is taken.

    Raises:
        RunError: if there is no such directory, or nothing can listen there.
    """

    def __init__(self, folder: str | Path, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.board = Board(folder)
        self.ended = threading.Event()
        self._http = _listening(host, port, self)
        # "All addresses" is none that leads here from another machine.
        name = socket.gethostname() if host in _ALL else host
        self.access = Access(name, self._http.server_address[1], "" if is_loopback(host) else new_token())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def url(self) -> str:
        """Where the page is, with the token if one is needed."""
        host = f"[{self.access.host}]" if ":" in self.access.host else self.access.host
        query = f"?token={self.access.token}" if self.access.token else ""
        return f"http://{host}:{self.access.port}/{query}"

    def start(self) -> None:
        """Answers from now on, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the events, and answers no more."""
        self.ended.set()
        if self._thread.is_alive():
            self._http.shutdown()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    server: Server

    def __init__(self, address: tuple[str, int], server: Server, family: socket.AddressFamily) -> None:
        self.address_family, self.server = family, server
        self.room = threading.BoundedSemaphore(READERS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers in a thread, where there is room for one more."""
        if self.room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers, and makes room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that has gone is no error; what else there may be shows in the page that does not come."""


def _listening(host: str, port: int | None, server: Server) -> _Http:
    tried = (PORT, 0) if port is None else (port,)
    for number in tried:
        try:
            family, *_, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            return _Http((str(address[0]), number), server, family)
        except (OSError, OverflowError) as error:
            if number == tried[-1]:
                reason = getattr(error, "strerror", None) or str(error).rstrip(".")
                raise RunError(
                    f"Cannot listen on {host}, port {tried[0]} ({reason}): "
                    "give another --port, 0 for any free one, or another --host."
                ) from error
    raise AssertionError("the last port either listens or raises")


class _Handler(BaseHTTPRequestHandler):
    server: _Http  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = REQUEST_SECONDS
    server_version, sys_version = "mixop", ""

    def do_GET(self) -> None:
        """The page, its style and its script, or the events."""
        access = self.server.server.access
        if not access.knows_host(self.headers.get("Host")):
            return self._refuse(HTTPStatus.FORBIDDEN, "This page is asked for by its address, not by another name.")
        try:
            asked = urlsplit(self.path)
        except ValueError:  # of an address with half a bracket
            return self._refuse(HTTPStatus.NOT_FOUND, NOTHING)
        query = parse_qs(asked.query)
        if not access.admits(query, self.headers.get("Cookie")):
            return self._refuse(HTTPStatus.FORBIDDEN, "This page needs the token of the address that mixop watch printed.")
        answer = _ANSWERS.get(asked.path)
        if answer is None:
            return self._refuse(HTTPStatus.NOT_FOUND, NOTHING)
        return answer(self, query)

    def _page(self, query: Mapping[str, list[str]]) -> None:
        if "token" in query:  # from now on it comes in a cookie, and is not in the address that the browser keeps
            access = self.server.server.access
            cookie = f"{access.cookie}={access.token}; HttpOnly; SameSite=Strict; Path=/"
            return self._send(HTTPStatus.SEE_OTHER, "text/plain", "", {"Set-Cookie": cookie, "Location": "./"})
        numbers = "&".join(f"run={number}" for number in _numbers(query))
        text = self.server.server.board.page(f"?{numbers}" if numbers else "")
        return self._send(HTTPStatus.OK, "text/html", text)

    def _style(self, _: Mapping[str, list[str]]) -> None:
        self._send(HTTPStatus.OK, "text/css", style() + _file("watch.css"))

    def _script(self, _: Mapping[str, list[str]]) -> None:
        self._send(HTTPStatus.OK, "text/javascript", _file("watch.js"))

    def _events(self, query: Mapping[str, list[str]]) -> None:
        """Server-sent events: one for each look that changed a part, with those parts."""
        self._begin(HTTPStatus.OK, "text/event-stream", {})
        chosen, known = _numbers(query), {}
        ended, board = self.server.server.ended, self.server.server.board
        spoke = time.monotonic()
        while not ended.is_set():
            parts, pause = board.parts(chosen)
            changed = {name: html for name, html in parts.items() if known.get(name) != html}
            if changed or parts.keys() != known.keys():
                content = json.dumps({"order": list(parts), "changed": changed}, ensure_ascii=False)
                self._write(f"data: {content}\n\n")
                known, spoke = parts, time.monotonic()
            elif time.monotonic() - spoke > BEAT:
                self._write(": still here\n\n")
                spoke = time.monotonic()
            ended.wait(0.05 if board.follower.more else pause)

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self._send(status, "text/plain", f"{sentence}\n")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses, in a sentence too."""
        self._refuse(HTTPStatus(code), "This is not a request that mixop watch answers.")

    def _send(self, status: HTTPStatus, kind: str, text: str, more: Mapping[str, str] | None = None) -> None:
        content = text.encode(errors="replace")
        self._begin(status, kind, {"Content-Length": str(len(content)), **(more or {})})
        self.wfile.write(content)

    def _begin(self, status: HTTPStatus, kind: str, more: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", **_HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _write(self, text: str) -> None:
        self.wfile.write(text.encode(errors="replace"))
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the command's screen is for its address."""


_ANSWERS: Mapping[str, Callable[[_Handler, Mapping[str, list[str]]], None]] = {
    "/": _Handler._page,
    "/watch.css": _Handler._style,
    "/watch.js": _Handler._script,
    "/events": _Handler._events,
}


def _numbers(query: Mapping[str, list[str]]) -> tuple[int, ...]:
    """The runs that a request chooses, by their numbers; anything else in it chooses nothing."""
    return tuple(int(text) for text in query.get("run", ()) if text.isascii() and text.isdecimal() and len(text) < 9)


def _file(name: str) -> str:
    """A file of this package."""
    return files("mixop.watch").joinpath(name).read_text(encoding="utf-8")
