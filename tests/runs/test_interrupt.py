import os
import signal
import threading

import pytest

from mixop.core.errors import RunError
from mixop.runs.interrupt import InterruptedRunError, listening


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_old_handler_comes_back(signum):
    before = signal.getsignal(signum)
    with listening() as stop:
        assert not stop
        os.kill(os.getpid(), signum)
        assert stop
        assert stop.signum == signum
    assert signal.getsignal(signum) is before


def test_the_second_sigint_stops_at_once():
    before = signal.getsignal(signal.SIGINT)

    def press_twice():
        with listening() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        press_twice()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_sigterm_changes_nothing():
    with listening() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signum == signal.SIGTERM


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), listening():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_is_never_asked():
    seen = []

    def work():
        with listening() as stop:
            seen.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_the_error_carries_its_signal():
    error = InterruptedRunError("Stopped with all progress saved.", signal.SIGTERM)
    assert isinstance(error, RunError)
    assert (str(error), error.signum) == ("Stopped with all progress saved.", signal.SIGTERM)
