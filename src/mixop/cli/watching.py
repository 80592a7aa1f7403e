"""``mixop watch``: a page that follows runs, until it is asked to stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mixop.cli.arguments import Command, Parsed
from mixop.cli.options import WatchOptions

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def watch(parsed: Parsed) -> None:
    """``mixop watch``"""
    from mixop.cli import screens
    from mixop.watch.server import Server

    options = parsed.options
    server = Server(options.folder, options.host, options.port)
    with _asked_to_stop() as stop:
        server.start()
        screens.places({"Watching": options.folder, "Page": server.url, "To end": "Ctrl-C"})
        while not stop.wait(1.0):  # Windows hands a signal over between two waits, and never inside of one
            pass
        server.stop()


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that a signal sets: here it is no interruption, but the way to end, and there is nothing to say of it."""
    stop, before = threading.Event(), {}
    for signum in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
        if signum == signal.SIGINT or signal.getsignal(signum) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            before[signum] = signal.signal(signum, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


WATCH = Command(
    "watch",
    WatchOptions,
    watch,
    examples=("mixop watch runs/x", "mixop watch runs", "mixop watch runs --host 0.0.0.0 --port 9000"),
)
