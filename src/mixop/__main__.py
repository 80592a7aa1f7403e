"""``python -m mixop``, the same as ``mixop``."""

import sys

from mixop.cli import main

if __name__ == "__main__":
    sys.argv[0] = "mixop"  # what a run records as its command
    sys.exit(main())
