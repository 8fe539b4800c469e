import os

import pytest
from hypothesis import settings

# The same examples on every machine; HYPOTHESIS_PROFILE=explore looks for new ones, and a failing one is then
# pinned with @example.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, at most four: a third of the time goes to waiting for servers."""
    return min(len(os.sched_getaffinity(0)) + 1, 4)
