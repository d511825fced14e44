"""The fault lab: its modules lie beside the tests and are found here; certificates are made once a run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from certs import Certificates, made


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return made()
