import os
import signal
import subprocess
import sys
import threading

import pytest

from mixop.core.errors import RunError
from mixop.runs.interrupt import InterruptedRunError, listening, shielded


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_the_old_handler_comes_back(signum):
    before = signal.getsignal(signum)
    with listening() as stop:
        assert not stop
        os.kill(os.getpid(), signum)
        assert stop
        assert stop.signum == signum
        stop.signum = None
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
        stop.signum = None


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), listening():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_nobody_heeded_goes_to_whoever_listened_before(signum):
    """For example a signal in the last evaluation, when nothing is left to stop for: none is lost."""
    told = []

    def fail():
        with listening():  # an error ends all, and says why
            os.kill(os.getpid(), signum)
            _ = 1 / 0

    before = signal.signal(signum, lambda *given: told.append(given[0]))
    try:
        with listening():
            os.kill(os.getpid(), signum)
            assert told == []
        assert told == [signum]
        with pytest.raises(ZeroDivisionError):
            fail()
        assert told == [signum]
    finally:
        signal.signal(signum, before)


def test_a_request_outside_of_another_one_hears_the_same():
    with listening() as outer:
        with listening() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.signum == outer.signum == signal.SIGTERM
        assert outer.signum == signal.SIGTERM
        outer.signum = None


def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_that_is_started_shielded_hears_nothing_until_it_asks():
    code = (
        "import os, signal\n"
        "for name in ('SIGINT', 'SIGHUP', 'SIGTERM'):\n"
        "    os.kill(os.getpid(), getattr(signal, name))\n"
        "print('alive', flush=True)\n"
        "from mixop.runs.interrupt import unshield\n"
        "unshield()\n"
        "print('not reached', flush=True)\n"
    )
    with shielded():
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= mask
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    shown, told = process.communicate()
    assert (shown, told, process.returncode) == ("alive\n", "", -signal.SIGTERM)


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
