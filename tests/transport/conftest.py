"""What tests of the transport share: the virtual time that lives in this folder's parent."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
