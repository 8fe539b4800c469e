"""Commands of a scenario: `langyan` as people type it, beside the story; what fails ends the scenario."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from msgspec import Struct

from langyan.errors import LangyanError
from langyan.servers import die_with_parent

LIMIT_S = 60.0
"""For one command, however slow the machine is."""


class CommandFailedError(LangyanError):
    """A command of a scenario did not do what was asked, or did what it should have refused; quotes it."""


class _Running(Struct):
    words: Sequence[str]
    must_fail: bool
    process: subprocess.Popen[bytes]
    said: IO[bytes]


class Commands:
    """Commands in the folder of the run, with its settings and access; each is done when it says so.

    Args:
        folder: in which they run.
        environment: added to ours.
        fill: writes what `{begin}` stands for into a word.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], fill: Callable[[str], str]) -> None:
        self._folder, self._environment, self._fill = folder, environment, fill
        self._running: list[_Running] = []
        self._count = 0

    def run(self, words: Sequence[str]) -> None:
        """Do one, and wait until it is done.

        Raises:
            CommandFailedError: it failed, or took longer than `LIMIT_S`.
        """
        self.start(words)
        self.finish()

    def start(self, words: Sequence[str], *, must_fail: bool = False) -> None:
        """Begin one; `check` and `finish` tell what became of it."""
        self._count += 1
        words = [self._fill(word) for word in words]
        said = (self._folder / f"command-{self._count}.log").open("w+b")
        said.write(f"langyan {' '.join(words)}\n".encode())
        said.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "langyan", *words],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(self._environment),
            preexec_fn=die_with_parent,  # noqa: PLW1509
        )
        self._running.append(_Running(words, must_fail, process, said))

    def check(self) -> None:
        """Look at those that have ended.

        Raises:
            CommandFailedError: one did not end as it should.
        """
        for one in [one for one in self._running if one.process.poll() is not None]:
            self._end(one)

    def finish(self) -> None:
        """Wait for all that run.

        Raises:
            CommandFailedError: one did not end as it should, or not within `LIMIT_S`.
        """
        for one in list(self._running):
            try:
                one.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired as error:
                raise CommandFailedError(f"langyan {' '.join(one.words)}: not done within {LIMIT_S:g} s") from error
            self._end(one)

    def close(self) -> None:
        """Kill what still runs."""
        for one in self._running:
            one.process.kill()
            one.process.wait()
            one.said.close()
        self._running.clear()

    def _end(self, one: _Running) -> None:
        self._running.remove(one)
        one.said.seek(0)
        said = one.said.read().decode(errors="replace")[-1_500:].strip()
        one.said.close()
        if bool(one.process.returncode) is not one.must_fail:
            what = "was done, and should have been refused" if one.must_fail else f"status {one.process.returncode}"
            raise CommandFailedError(f"{said}\nlangyan {' '.join(one.words)}: {what}")
