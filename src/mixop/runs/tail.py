"""Follows a file that lines are added to: reads what is new, and begins again where the file was cut back."""

from dataclasses import dataclass, field
from pathlib import Path

from mixop.core.files import open_file

KEPT = 64
"""Bytes before the place that was read up to: if they have changed, the file was cut back and written anew."""

LONGEST = 1 << 26
"""Bytes of a line, at most: a file without any end of a line is not read over and over."""


@dataclass(frozen=True)
class Read:
    """What came of one look.

    Args:
        lines: whole lines that are new, without their ends.
        again: whether the file was cut back or replaced since the last look; the lines are then those from its beginning.
        more: whether there is more to read now.
    """

    lines: tuple[bytes, ...] = ()
    again: bool = False
    more: bool = False


@dataclass
class Tail:
    """A file that lines are added to.

    A run that is resumed cuts its metrics back to its last checkpoint and adds other lines, so the length alone does not say
    whether what was read still stands.

    Args:
        path: the file; it may not be there yet.
    """

    path: Path
    position: int = 0
    before: bytes = field(default=b"", repr=False)

    def read(self, most: int) -> Read:
        """The lines that were added since the last look. A line that is not whole yet waits for the next one.

        Args:
            most: bytes to read; a longer line is read whole all the same.

        Raises:
            OSError: if the file is there and cannot be read.
        """
        try:
            file = open_file(self.path)
        except FileNotFoundError:
            again = self.position > 0
            self._begin()
            return Read(again=again)
        with file:
            file.seek(self.position - len(self.before))
            again = file.read(len(self.before)) != self.before
            if again:
                self._begin()
                file.seek(0)
            content = file.read(most)
            more = len(content) == most
            if more and b"\n" not in content:
                content += file.readline(LONGEST)
        whole = content[: content.rfind(b"\n") + 1]
        self.position += len(whole)
        self.before = (self.before + whole)[-KEPT:]
        return Read(tuple(whole.split(b"\n")[:-1]), again, more and bool(whole))

    def _begin(self) -> None:
        self.position, self.before = 0, b""
