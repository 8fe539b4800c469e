"""The process that is a gateway: what `langyan edge run` and the service run."""

from pathlib import Path

from edge.errors import EdgeError
from edge.gateway import run_gateway
from langyan.running import FAULTY, read_site, run_until_signal, start_logging


def run_gateway_process(site_file: Path, *, profiles: Path | None, verbose: bool) -> int:
    """Be a gateway until a signal; returns the exit status."""
    site = read_site(site_file, profiles=profiles)
    if site is None:
        return FAULTY
    start_logging(verbose=verbose, secret_envs=[site.file.uplink.password_env])
    return run_until_signal(lambda stop: run_gateway(site, stop), expected=EdgeError)
