"""Every question of every dashboard, with everything that the schema has in the database."""

import pytest

from cloud.grafana.board import Context
from cloud.grafana.build import build_all
from langyan.servers import Influx
from tests.cloud.grafana_rig import run_dashboard
from tests.cloud.grafana_stock import profiles


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_question_of_every_dashboard_gives_data(grafana_influx: Influx, language: str) -> None:
    built = build_all(Context(language=language, desk_url="https://desk.example", profiles=profiles()))
    faults = [fault for one in built for fault in run_dashboard(one.model, grafana_influx.url)]
    assert not faults, "\n".join(map(str, faults))
