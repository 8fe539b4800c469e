"""The desk worker on a clock that runs faster than ours: `python -m benchmarks.hasty_desk SETTINGS --speed 20 ...`.

Everything that asks for the wall time gets the fast one; waits stay real, so whatever waits a moment is as late as it
would be on a machine that is so many times slower.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import anyio

from cloud.desk.shell import run_desk
from cloud.settings import load_settings


def fast_ns(real_ns: int, *, since_ns: int, speed: int) -> int:
    """The fast clock, which agreed with ours at `since_ns`."""
    return since_ns + (real_ns - since_ns) * speed


def main() -> None:
    """Run until it is killed; touch the ready file once it has subscribed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hasty_desk", description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--speed", type=int, required=True)
    parser.add_argument("--since", type=int, required=True, help="ns since 1970")
    parser.add_argument("--ready", type=Path, required=True)
    said = parser.parse_args()
    real_ns = time.time_ns
    time.time_ns = lambda: fast_ns(real_ns(), since_ns=said.since, speed=said.speed)
    anyio.run(partial(_run, said.settings, said.ready))


async def _run(path: Path, ready: Path) -> None:
    await run_desk(load_settings(path), stop=anyio.Event(), ready=ready.touch)


if __name__ == "__main__":
    main()
