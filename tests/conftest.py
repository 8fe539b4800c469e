import os

from hypothesis import settings

# The same examples on every machine; HYPOTHESIS_PROFILE=explore looks for new ones, and a failing one is then
# pinned with @example.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
