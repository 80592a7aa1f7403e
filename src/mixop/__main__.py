"""``python -m mixop``, the same as ``mixop``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the working directory first: a file beside the user would be taken for any module that torch tries to import.
    if not sys.flags.safe_path and Path(sys.path[0]) == Path.cwd() != Path(__file__).parents[1]:
        del sys.path[0]
    from mixop.cli import main

    sys.argv[0] = "mixop"  # what a run records as its command
    sys.exit(main())
