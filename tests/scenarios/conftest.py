"""A hundred scenarios of the same few profiles: each profile is read once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from device_profiles import catalogue, site_loader
from device_profiles.model import Profile


@pytest.fixture(scope="session")
def read_once() -> Callable[[Path], Profile]:
    return cache(catalogue.load_profile_file)


@pytest.fixture(autouse=True)
def profiles_are_read_once(monkeypatch: pytest.MonkeyPatch, read_once: Callable[[Path], Profile]) -> None:
    monkeypatch.setattr(site_loader, "load_profile_file", read_once)
