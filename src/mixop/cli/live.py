"""Standard output, and a panel that lives in it: drawn again and again in a terminal, plain lines elsewhere."""

from abc import ABC, abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mixop.cli.interrupt import heed, on_screen

if TYPE_CHECKING:
    from rich.progress import Progress

_WIDEST = 100
_PER_SECOND = 8


class Screen(Console):
    """Standard output as rich writes it, colours only where they are due."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False)

    def on_broken_pipe(self) -> None:
        """Leaves it to `mixop.cli.main` to end quietly, in place of rich's own exit."""
        raise BrokenPipeError


def show(display: "Live | Progress") -> None:
    """Starts a live display."""
    on_screen(True)
    display.start()


def hide(display: "Live | Progress") -> None:
    """Stops a live display, also where the terminal has gone: what ended the run is told, not that."""
    with suppress(OSError):
        display.stop()
    on_screen(False)


class LivePanel(ABC):
    """What an observer shows while it is entered as a context manager; a subclass says what that is.

    Args:
        title: what is being done.
        quiet: whether to show nothing.
        console: where to show it; default standard output.
    """

    def __init__(self, title: str, *, quiet: bool = False, console: Console | None = None) -> None:
        self.title, self.quiet = title, quiet
        self.console = console or Screen()
        self.live: Live | None = None
        if self.console.is_terminal and not self.console.is_dumb_terminal:  # it asks for the panel at once
            self.live = Live(get_renderable=self.panel, console=self.console, refresh_per_second=_PER_SECOND, transient=True)

    @abstractmethod
    def panel(self) -> RenderableType:
        """All that is known now, for a terminal."""

    def framed(self, table: Table, done: int, total: int, words: str) -> Panel:
        """A table over a bar, in a frame that leaves room for the ^C that a terminal echoes, which would wrap.

        Args:
            table: what is known.
            done: how much is done.
            total: of how much.
            words: the same in words, at the bar's end.
        """
        bar = Table.grid(padding=(0, 2), expand=True)
        bar.add_column(ratio=1, no_wrap=True)
        bar.add_column(justify="right", no_wrap=True)
        bar.add_row(ProgressBar(total=max(total, 1), completed=done), words)
        width = min(self.console.width - 4, _WIDEST)
        return Panel(Group(table, Text(), bar), title=Text(self.title), title_align="left", width=width, border_style="cyan")

    def say(self, text: str) -> None:
        """Prints a line, above the panel if there is one."""
        if not self.quiet:
            self.console.print(text, soft_wrap=True, markup=False)

    def __enter__(self) -> Self:
        heed()
        if self.live and not self.quiet:
            show(self.live)
        elif not self.live:
            self.say(f"{self.title}.")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.live and not self.quiet:
            hide(self.live)
