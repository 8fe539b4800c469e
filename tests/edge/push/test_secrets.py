"""Keys and passwords: by the names of their variables, all there before anything starts."""

from pathlib import Path

import pytest

from device_profiles.site_loader import load_site
from edge.push.buses import MissingSecretError, read_secrets

SITE = """
[gateway]
id = "g"
site = "s"
[[bus]]
id = "hosts"
kind = "tcp_server"
port = 20000
[[device]]
id = "host"
bus = "hosts"
profile = "generic/sia-dc09"
address = "1234"
secret_env = "HOST_KEY"
"""


def test_a_key_is_read_by_the_name_of_its_variable(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    site = load_site(tmp_path / "site.toml")
    assert read_secrets(site, {"HOST_KEY": "0123456789abcdef", "PATH": "/"}) == {"HOST_KEY": "0123456789abcdef"}


@pytest.mark.parametrize("environ", [{}, {"HOST_KEY": ""}])
def test_without_its_key_nothing_starts(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    with pytest.raises(MissingSecretError, match=r'device "host"\.secret_env: environment variable HOST_KEY'):
        read_secrets(load_site(tmp_path / "site.toml"), environ)
