import json
from pathlib import Path

import pytest

from mixop.core.errors import RunError
from mixop.runs.identity import BOUND_TO, binding, check_binding, essence

CONTENTS = {"recipe.json": {"name": "darts", "rates": (0.1, 1.0)}, "settings.json": {"seed": 0}}


def test_what_was_written_and_read_back_binds_alike():
    read = {name: json.loads(json.dumps(content, indent=3)) for name, content in CONTENTS.items()}
    check_binding(binding(CONTENTS), binding(read), Path("state.pt"))


@pytest.mark.parametrize("name", CONTENTS)
def test_every_file_counts(name: str):
    changed = {**CONTENTS, name: {**CONTENTS[name], "name": "gdas"}}
    with pytest.raises(RunError, match=rf"state\.pt was not made with the {name} that is beside it"):
        check_binding(binding(CONTENTS), binding(changed), Path("state.pt"))


@pytest.mark.parametrize("bound", [None, {}, [], "x", {"recipe.json": "0"}])
def test_what_is_bound_to_nothing_is_refused(bound: object):
    with pytest.raises(RunError, match="does not say which run it belongs to"):
        check_binding(bound, binding(CONTENTS), Path("state.pt"))


def test_neither_the_place_of_data_nor_who_found_an_architecture_counts():
    data = {"task": {}, "shape": [1], "dtype": "uint8", "tokens": False, "fingerprint": "f", "augment": {}}
    assert essence("data.json", {**data, "source": {"path": "/a"}, "record": {"x": 1}, "name": "a"}) == data
    found = {"native": "|a~0|", BOUND_TO: {"recipe.json": "0"}}
    assert essence("architecture.json", found) == {"native": "|a~0|"}
