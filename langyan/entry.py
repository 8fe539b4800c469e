"""The `langyan` command's first step: a gateway is run without the libraries of the command line.

A gateway lives for months on a small computer, and Typer and Rich would take a quarter of its memory (12 of 48 MiB)
for a command line that was read once.
"""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from msgspec import Struct

RUN = ["edge", "run"]


class Run(Struct, frozen=True):
    """What `langyan edge run` was asked."""

    site_file: Path
    profiles: Path | None = None
    verbose: bool = False


def read_run(argv: list[str]) -> Run | None:
    """Read the words of a plain `edge run`; None for everything else: help, mistakes, other commands."""
    if argv[:2] != RUN:
        return None
    files: list[Path] = []
    profiles, verbose = None, False
    words = iter(argv[2:])
    for word in words:
        if word in ("-v", "--verbose"):
            verbose = True
        elif word == "--profiles":
            profiles = Path(next(words, ""))
        elif word.startswith("--profiles="):
            profiles = Path(word.partition("=")[2])
        elif word.startswith("-"):
            return None
        else:
            files.append(Path(word))
    if len(files) != 1 or (profiles is not None and not profiles.is_dir()):
        return None
    return Run(files[0], profiles, verbose)


def main() -> None:
    """Run the command line."""
    run = read_run(sys.argv[1:])
    if run is not None:
        # Without the gateway's extra the command line says what to install.
        with suppress(ModuleNotFoundError):
            process = import_module("langyan.gateway_process")
            sys.exit(process.run_gateway_process(run.site_file, profiles=run.profiles, verbose=run.verbose))
    import_module("langyan.cli").main()
