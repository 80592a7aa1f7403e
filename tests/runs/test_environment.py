"""What a run notes about where it ran."""

import json

from mixop.runs.environment import environment


def test_the_environment_is_json_and_names_the_versions():
    import torch

    found = json.loads(json.dumps(environment("cpu")))
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    assert {"python", "platform", "processor", "cores", "threads", "commit", "command", "started"} <= set(found)
