"""All tests. The Python client is a package of its own, in a folder of its own."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "clients" / "python"))
