import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from langyan.logs import LimitedHandler

# The same examples on every machine; HYPOTHESIS_PROFILE=explore looks for new ones, and a failing one is then
# pinned with @example.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

# Thousands of databases are made and dropped, and a disk takes a third of a second for one: in memory it is a twentieth
# of that. No test cuts the power. TMPDIR, where it is set, says better.
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 4 << 30  # noqa: S108 - mktemp makes the folders
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES:
    os.environ["TMPDIR"] = str(_MEMORY)
    # It may have looked already.
    tempfile.tempdir = None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, at most four: a third of the time goes to waiting for servers."""
    return min(len(os.sched_getaffinity(0)) + 1, 4)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is alone with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/scenarios/", "tests/end_to_end/")))


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Take the log away that a command has set up, as if this process were its own."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in root.handlers[:]:
        if isinstance(handler, LimitedHandler):
            root.removeHandler(handler)
            root.setLevel(level)
