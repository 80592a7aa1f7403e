"""What ``--json`` writes: one object, and nothing else, on standard output."""

import json
import sys
from typing import Any


def print_json(content: Any) -> None:
    """Writes JSON data on one line."""
    sys.stdout.write(json.dumps(content) + "\n")
