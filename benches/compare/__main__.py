"""The same programs with PyTorch and with Rushlight, timed in turn: `python benches/compare --help`."""

import sys
from pathlib import Path

# The folder of the package, not the package's own: `compare.cases` must not be importable as plain `cases`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from compare.options import main  # noqa: E402

sys.exit(main())
