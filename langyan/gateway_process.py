"""The process that is a gateway: what `langyan edge run` and the service run."""

import logging
import sys
from pathlib import Path

from edge.errors import EdgeError
from edge.gateway import run_gateway
from langyan.running import FAULTY, read_site, run_until_signal, start_logging

log = logging.getLogger(__name__)

# A thread that packs a batch gives way to the loop within this time, Python's own 5 ms ten times over: the loop reads
# the alarm inputs.
SWITCH_INTERVAL_S = 0.0005


def run_gateway_process(site_file: Path, *, profiles: Path | None, verbose: bool) -> int:
    """Be a gateway until a signal; returns the exit status."""
    site = read_site(site_file, profiles=profiles)
    if site is None:
        return FAULTY
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    start_logging(verbose=verbose, secret_envs=[site.file.uplink.password_env])
    log.info(
        "gateway %s: %d buses, %d devices; how it stands: langyan edge status %s",
        site.file.gateway.id, len(site.file.bus), len(site.file.device), site_file,
    )  # fmt: skip
    return run_until_signal(lambda stop: run_gateway(site, stop), expected=EdgeError)
