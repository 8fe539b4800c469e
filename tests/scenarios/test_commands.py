"""Commands of a scenario: what fails ends it, in its own words; what should fail and does not, too."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from langyan.scenario.clock import StoryClock
from langyan.scenario.cloud import CloudWishes, ScenarioCloud, StageError
from langyan.scenario.commands import CommandFailedError, Commands


def spell(word: str) -> str:
    return word.replace("{begin}", "--version")


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    made = Commands(tmp_path, {"LANGYAN_LANG": "en"}, spell)
    yield made
    made.close()


def test_what_is_said_is_kept_with_the_words_filled_in(commands: Commands, tmp_path: Path) -> None:
    commands.run(["{begin}"])
    first, *said = (tmp_path / "command-1.log").read_text("utf-8").splitlines()
    assert first == "langyan --version"
    assert said


def test_a_command_that_fails_is_quoted_and_one_that_must_fail_may(commands: Commands) -> None:
    commands.start(["sim", "run", "nowhere.toml"], must_fail=True)
    commands.finish()
    with pytest.raises(CommandFailedError, match=r"nowhere\.toml(.|\n)*status 2"):
        commands.run(["sim", "run", "nowhere.toml"])
    # It was told once.
    commands.check()


def test_a_command_that_must_fail_and_is_done_is_told(commands: Commands) -> None:
    commands.start(["--version"], must_fail=True)
    with pytest.raises(CommandFailedError, match="should have been refused"):
        commands.finish()


def cloud(folder: Path, **wishes: object) -> ScenarioCloud:
    wish = CloudWishes(**wishes)  # type: ignore[arg-type]
    return ScenarioCloud(folder, wish, broker_port=1883, clock=StoryClock(), has_heard=lambda _worker: True)


def test_settings_of_the_scenario_are_laid_over_those_of_the_run(tmp_path: Path) -> None:
    made = cloud(tmp_path, trades=True, settings={"desk": {"timezone": "Europe/Berlin"}, "mqtt": {"keepalive_s": 5}})
    written = (tmp_path / "cloud.toml").read_text("utf-8")
    assert "keepalive_s = 5" in written
    assert "port = 1883" in written
    assert set(made.workers) == {"ingest", "desk", "trades", "api"}
    assert set(cloud(tmp_path).workers) == {"ingest", "desk"}


def test_faults_of_the_settings_are_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"\[cloud\](.|\n)*desk"):
        cloud(tmp_path, settings={"desk": {"late_after_s": -1}})


class Recorder:
    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def run(self, words: tuple[str, ...]) -> None:
        self.said.append(words)


def test_what_names_the_beginning_is_done_last_and_the_story_waits_for_it(tmp_path: Path) -> None:
    files = {"plans/plans.csv": "{begin+00:00:10}", "areas/areas.csv": "id"}
    prepare = (("patrols", "import", "plans"), ("areas", "import", "areas"), ("note", "{day}"))
    made = cloud(tmp_path, trades=True, files=files, prepare=prepare)
    recorder = Recorder()
    made.commands = recorder  # type: ignore[assignment]
    made.prepare()
    assert recorder.said == [prepare[1], prepare[0], prepare[2]]
    assert made.begin is not None
    written = (tmp_path / "plans" / "plans.csv").read_text("utf-8")
    at = datetime.strptime(f"{made.begin.date()} {written} +0800", "%Y-%m-%d %H:%M:%S %z")
    assert (at - made.begin).total_seconds() % 86_400 == 10
    assert made.begin.second == int(made.begin.astimezone(UTC).timestamp()) % 60


class Slow(Recorder):
    """The first time it is done only after the beginning."""

    def __init__(self, made: ScenarioCloud) -> None:
        super().__init__()
        self._made = made

    def run(self, words: tuple[str, ...]) -> None:
        super().run(words)
        if len(self.said) == 1 and self._made.begin is not None:
            self._made.begin -= timedelta(hours=1)


def test_what_was_not_done_by_the_beginning_is_done_again_for_a_later_one(tmp_path: Path) -> None:
    made = cloud(tmp_path, trades=True, files={"plans.csv": "{day} {begin}"}, prepare=(("import", "plans.csv"),))
    recorder = Slow(made)
    made.commands = recorder  # type: ignore[assignment]
    made.prepare()
    assert len(recorder.said) == 2
    assert made.begin is not None
    assert made.begin > datetime.now(UTC)
    assert (tmp_path / "plans.csv").read_text("utf-8") == f"{made.begin:%Y-%m-%d %H:%M:%S}"
