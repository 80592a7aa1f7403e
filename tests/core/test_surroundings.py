"""What the caller has set: neither changes what is computed inside, nor is it changed outside."""

import threading
from contextlib import nullcontext

import pytest
import torch
from callers import CALLERS, DefaultType

from mixop.core import surroundings
from mixop.core.surroundings import undisturbed, using


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def in_a_new_thread(run):
    found = []
    thread = threading.Thread(target=lambda: found.append(run()))
    thread.start()
    thread.join()
    return found[0]


def test_torch_takes_no_more_threads_than_there_are_cores(monkeypatch, four_threads):
    monkeypatch.setattr(surroundings, "cores", lambda: 3)
    with using(0):
        assert torch.get_num_threads() == 3
    with using(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 4
    with pytest.raises(ZeroDivisionError), using(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 4


def test_threads_of_the_caller_begin_with_their_own_number(four_threads):
    def other():
        with using(2):
            return torch.get_num_threads(), in_a_new_thread(torch.get_num_threads)

    with using(1):
        assert in_a_new_thread(torch.get_num_threads) == 4
        assert in_a_new_thread(other) == (2, 4)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4
    assert in_a_new_thread(torch.get_num_threads) == 4


def now():
    """All that `undisturbed` takes care of."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
    )


USUAL = (True, False, False, torch.float32, torch.device("cpu"))


USUALLY = {"usual": nullcontext, **CALLERS}


@pytest.mark.parametrize("caller", USUALLY)
def test_inside_all_is_as_usual_and_outside_as_the_caller_had_it(caller):
    with USUALLY[caller]():
        before = now()
        assert (before != USUAL) == (caller != "usual")
        with undisturbed():
            assert now() == USUAL
        assert now() == before
        with pytest.raises(ZeroDivisionError), undisturbed():
            raise ZeroDivisionError
        assert now() == before


def test_the_default_dtype_comes_back_when_the_last_one_leaves():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with undisturbed():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with DefaultType():
        with undisturbed():
            thread.start()
            entered.wait()
        assert torch.get_default_dtype() == torch.float32  # the other one still computes
        leave.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float64


def test_it_decorates_functions():
    @undisturbed()
    def found():
        """Says."""
        return now()

    with torch.no_grad():
        assert found() == USUAL
    assert found.__doc__ == "Says."
