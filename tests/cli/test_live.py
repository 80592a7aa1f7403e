"""Standard output with a panel in a terminal, and with plain lines elsewhere."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from mixop.cli.live import LivePanel


class Counting(LivePanel):
    """A panel that says how far it is."""

    done = 0

    def panel(self):
        table = Table.grid()
        table.add_row("steps")
        return self.framed(table, self.done, 4, f"{self.done} of 4")


def console(*, terminal: bool, width: int = 60) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False, markup=False, color_system=None)


def test_a_file_has_plain_lines_and_no_panel():
    out = console(terminal=False)
    with Counting("Counting", console=out) as view:
        assert view.live is None
        view.say("one [of] two")
    assert out.file.getvalue() == "Counting.\none [of] two\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_shows_nothing(terminal):
    out = console(terminal=terminal)
    with Counting("Counting", quiet=True, console=out) as view:
        view.say("a line")
    assert out.file.getvalue() == ""


def test_a_terminal_has_a_panel_while_it_is_entered():
    out = console(terminal=True)
    with Counting("Counting", console=out) as view:
        assert view.live.is_started
        view.say("above")
    assert not view.live.is_started
    assert "above" in out.file.getvalue()
    assert "0 of 4" in out.file.getvalue()


@pytest.mark.parametrize("width", [30, 80, 300])
def test_the_frame_leaves_room_at_the_right_and_is_never_wider_than_is_read_well(width):
    out = console(terminal=False, width=width)
    out.print(Counting("Counting", console=out).panel())
    assert {len(line) for line in out.file.getvalue().splitlines()} == {min(width - 4, 100)}
