"""Damage for files: seeded changes of bytes, texts and nested data, and what must come of reading them."""

import json
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from mixop.core.errors import DataWarning, MixopError

TRAP = "fuzz_trap"
"""A module that damaged files name. Nothing may try to import it."""

RAW = {
    "RAW-deep-list": "[" * 100_000 + "]" * 100_000,
    "RAW-deep-object": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "RAW-nan": "NaN",
    "RAW-infinity": "-Infinity",
    "RAW-huge-float": "1e999",
    "RAW-huge-int": "1" + "0" * 5_000,
    "RAW-twice": '{"type": 1, "type": 2}',
    "RAW-surrogate": '"\\ud800"',
}
"""What the `json` module does not write, by what stands for it until the text is there."""

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e-300, 1e300, 2**31, 2**53, 2**63, -(2**63), 2**64 - 1, 10**30),
    *("", "x", "\0", "none", "nan", "é" * 40, "x" * 5_000, "../../etc/passwd", "/", "0", "1", "train", "type", "a:b"),
    *(f"{TRAP}:X", "os:system", "builtins:exec", "numpy:ndarray", "mixop.cli:main", "SGD", "Softmax", "Toy", "Recipe"),
    *(
        [],
        {},
        [[]],
        [0] * 1_000,
        [None],
        ["x"],
        {"type": None},
        {"type": f"{TRAP}:X"},
        {"type": "Recipe"},
        {"a": 1},
        [[1, 2], 3],
    ),
    *RAW,
)


def mutated_bytes(content: bytes, rng: Random) -> bytes:
    """One to three changes: bytes flipped, cut out, put in, repeated, set to zero, or the end cut off."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        length = len(content)
        at, size = rng.randrange(length + 1), rng.choice((1, 1, 2, 8, 64, 1024))
        piece = content[at : at + size]
        content = rng.choice(
            (
                lambda c, at=at: c[: max(at, 1) - 1] + bytes([rng.randrange(256)]) + c[max(at, 1) :],
                lambda c, at=at: c[:at] + bytes(b ^ (1 << rng.randrange(8)) for b in c[at : at + 1]) + c[at + 1 :],
                lambda c, at=at: c[:at],
                lambda c, at=at, size=size: c[:at] + c[at + size :],
                lambda c, at=at, size=size: c[:at] + rng.randbytes(size) + c[at:],
                lambda c, at=at, piece=piece: c[:at] + piece + c[at:],
                lambda c, at=at, size=size, piece=piece: c[:at] + bytes(len(piece)) + c[at + size :],
                lambda c: b"\xef\xbb\xbf" + c,
                lambda c: c + rng.randbytes(rng.randrange(40)),
                lambda c: b"" if rng.random() < 0.2 else c[: len(c) // 2],
            )
        )(content)
    return content


def mutated_text(text: str, rng: Random) -> str:
    """One to three changes of characters and words, among them far too many of them."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice((1, 1, 3, 10)))
        text = rng.choice(
            (
                text[:at] + text[end:],
                text[:at],
                text[:at] + rng.choice("()[]{}|~+-*=,.'\"\\ \n\0\t0123456789aZé%#@\ud800") + text[at:],
                text[:at] + text[at:end] * rng.choice((2, 50, 600)) + text[end:],
                text[:at] + rng.choice(("0+" * 500 + "0", "-" * 900 + "1", "(" * 300 + ")" * 300, "9" * 5_000)) + text[at:],
                text[:at]
                + rng.choice(("None", "range(2)", "range(10**9)", "__import__('os')", "1e400", "lambda: 0"))
                + text[end:],
                text.replace(rng.choice(("'", "(", "[", "~", "|", "0", "1", "3x3")), rng.choice(("", "x", "99", "-1")), 1),
                text + text,
            )
        )
    return text


def mutated_value(value: Any, rng: Random, odd: tuple[Any, ...] = ODD) -> Any:
    """Nested lists and dictionaries with one to three entries changed, removed, renamed, added or exchanged."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _mutated(value, rng, odd)
    return value


def _mutated(value: Any, rng: Random, odd: tuple[Any, ...]) -> Any:
    keys: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list | tuple) else []
    )
    if not keys or rng.random() < 0.04:
        if isinstance(value, str) and rng.random() < 0.3:
            return mutated_text(value, rng)
        return rng.choice(odd)
    key = rng.choice(keys)
    if rng.random() < 0.6:  # further down
        return _with(value, key, _mutated(value[key], rng, odd))
    kind = rng.randrange(6)
    if kind == 0:
        return _with(value, key, rng.choice(odd))
    if kind == 1:
        return _without(value, key)
    if kind == 2:
        return _with(value, key, value[rng.choice(keys)])
    if kind == 3:
        return _with(value, key, [value[key]])
    if kind == 4 and isinstance(value, dict):
        return {**_without(value, key), rng.choice(("type", "x", "", "name", f"{key}_")): value[key]}
    if isinstance(value, dict):
        return {**value, rng.choice(("type", "x", "", "base", "epochs")): rng.choice(odd)}
    return [*value, rng.choice(odd)]


def _with(value: Any, key: Any, new: Any) -> Any:
    if isinstance(value, dict):
        return {**value, key: new}
    return type(value)([*value[:key], new, *value[key + 1 :]])


def _without(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if name != key}
    return type(value)([*value[:key], *value[key + 1 :]])


def mutated_json(content: bytes, rng: Random) -> bytes:
    """A JSON file with other data in it; one time in five with other bytes."""
    if rng.random() < 0.2:
        return mutated_bytes(content, rng)
    return written(mutated_value(json.loads(content), rng))


def mutated_lines(content: bytes, rng: Random) -> bytes:
    """A file of one JSON object a line, with one of them changed, torn, moved or repeated."""
    lines = content.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    new = rng.choice(
        (lambda: mutated_json(lines[at].rstrip(b"\n"), rng) + b"\n", lambda: lines[at] * 2, lambda: lines[at][:-5])
    )()
    return b"".join([*lines[:at], new, *lines[at + 1 :]])


def written(value: Any) -> bytes:
    """A JSON text, with what `RAW` stands for in its place."""
    text = json.dumps(value, ensure_ascii=False)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode("utf-8", "surrogatepass")


class TooLongError(BaseException):
    """Reading took longer than it may."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Ends what takes longer, in the main thread."""

    def ring(number: int, frame: Any) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Trap:
    """A finder of modules that notes whether anybody looks for the trap."""

    def __init__(self) -> None:
        self.sprung = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        self.sprung |= name == TRAP


def outcome(read: Callable[[], Any], seconds: int = 20) -> str | None:
    """What is wrong with reading damaged input; None if it gave a value, or an error of one sentence.

    Args:
        read: reads it.
        seconds: that it may take.
    """
    trap = Trap()
    sys.meta_path.insert(0, trap)  # type: ignore[arg-type]
    try:
        with limited(seconds), warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # a reader that counts what it leaves out does as it should
            read()
    except MixopError as error:
        sentence = str(error)
        if "\n" in sentence.strip() or len(sentence) > 2_000:
            return f"no sentence: {sentence[:300]!r}"
    except (Exception, SystemExit, TooLongError) as error:
        trace, places = error.__traceback__, []
        while trace is not None:
            places.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/mixop/')[2]}:{trace.tb_lineno}")
            trace = trace.tb_next
        return f"{type(error).__name__}: {str(error)[:150]} ({' '.join(places[-4:])})"
    finally:
        sys.meta_path.remove(trap)  # type: ignore[arg-type]
    return "it tried to import what the file names" if trap.sprung else None
