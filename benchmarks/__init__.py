"""Programs that measure the batchsim that is installed, which may be compiled.

`python -m` looks in the present folder first, where the sources are; here it looks there last.
"""

import sys
from pathlib import Path

_SOURCES = str(Path(__file__).resolve().parents[1])
sys.path[:] = [entry for entry in sys.path if str(Path(entry).resolve()) != _SOURCES] + [_SOURCES]
