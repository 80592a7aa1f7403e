"""Nobody pulls the plug during the tests, and waiting for disks takes a while: a closed file is an error as before."""

import os

os.fsync = os.fstat
