"""Every question of every dashboard, with everything that the schema has in the database."""

import time

import pytest

from cloud.grafana.board import Context
from cloud.grafana.build import build_all
from langyan.servers import Influx
from tests.cloud.grafana_rig import Answers, run_dashboard
from tests.cloud.grafana_stock import profiles


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers()


@pytest.fixture(scope="module")
def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_question_of_every_dashboard_gives_data(
    grafana_influx: Influx, answers: Answers, now_ms: int, language: str
) -> None:
    url = grafana_influx.url
    built = build_all(Context(language=language, desk_url="https://desk.example", profiles=profiles()))
    faults = [fault for one in built for fault in run_dashboard(one.model, url, now_ms=now_ms, answers=answers)]
    assert not faults, "\n".join(map(str, faults))
