"""A headless Chromium that is driven through a pipe by its DevTools protocol; needs nothing but the browser."""

import base64
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import CHROMIUM

SECONDS = 60.0
"""That anything may take, on a busy machine."""

LAUNCH = """
import fcntl, os, sys
given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, end in zip((3, 4), given):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads from file 3 and writes to file 4."""


class Browser:
    """One page in a browser. What its console says and what it fails to load is in ``said``.

    Args:
        profile: a new folder for the browser.
    """

    def __init__(self, profile: Path) -> None:
        if CHROMIUM is None:
            pytest.skip("no Chromium on PATH: apt-get install chromium")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        command = [
            sys.executable, "-c", LAUNCH, str(to_browser), str(from_browser), CHROMIUM, "--headless", "--no-sandbox",
            "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._numbers, self._session, self._rest = itertools.count(1), "", b""
        self.said: list[str] = []
        target = next(t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.window()

    def window(
        self, *, width: int = 1280, height: int = 900, phone: bool = False, dark: bool = False, scale: float = 1.0
    ) -> None:
        """Another window.

        Args:
            width: in px.
            height: in px.
            phone: whether it is a phone's.
            dark: whether it prefers dark colours.
            scale: pixels of a picture for each px.
        """
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Goes to a page."""
        self._call("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        """What an expression gives, as JSON data."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str, wanted: Callable[[Any], Any] = bool) -> Any:
        """Waits until an expression gives what is wanted, and returns it."""
        last, end = None, time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                last = self.value(expression)
                if wanted(last):
                    return last
            except AssertionError as error:  # the page is just being left, or what is asked for is not there yet
                last = error
            time.sleep(0.05)
        raise AssertionError(f"{expression} is still {last!r} after {SECONDS} s")

    def press(self, key: str, text: str = "") -> None:
        """Presses a key."""
        more = {"text": text} if text else {}
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39}
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key], **more)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Writes a picture of the page."""
        data = self._call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _call(self, method: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._note(answer)

    def _next(self) -> Any:
        while b"\0" not in self._rest:
            more = os.read(self._read, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        one, _, self._rest = self._rest.partition(b"\0")
        return json.loads(one)

    def _note(self, event: Any) -> None:
        told, method = event.get("params", {}), event.get("method")
        if method == "Runtime.exceptionThrown":
            self.said.append(str(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            self.said.append(str(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.said.append(told["entry"]["text"])

    def close(self) -> None:
        """Ends the browser."""
        self._process.terminate()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
