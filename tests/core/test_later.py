"""Values that are computed when they are read."""

import pickle

from mixop.core.later import Later


def test_it_is_computed_at_the_first_reading_and_once():
    calls = []
    later = Later(lambda: calls.append(1) or {"loss": float(len(calls))})
    assert calls == []
    assert (dict(later), later["loss"], len(later)) == ({"loss": 1.0}, 1.0, 1)
    assert {**later} == later == {"loss": 1.0}
    assert calls == [1]


def test_another_process_gets_numbers():
    numbers = {"loss": 0.5}
    found = pickle.loads(pickle.dumps(Later(lambda: numbers)))
    assert type(found) is dict
    assert found == numbers
