"""A list given through the API, at a real gateway: confirmed, kept through a kill, given again to a new disk."""

import time
from functools import partial
from pathlib import Path

import anyio
import pytest

from cloud.command import send_commands
from cloud.database import open_database
from cloud.orders.stolen import confirmed, gateways_of
from cloud.people.roles import Role
from cloud.settings import load_settings
from contract.commands import Command, Outcome
from contract.tags import StolenPart
from langyan.servers import Langyan, Mosquitto, free_port, wait_until
from tests.cloud.api_rig import Rig

pytestmark = pytest.mark.timeout(180)
LIMIT_S = 60.0
SITE = """
[gateway]
id = "bridge"
site = "大桥 bridge"

[uplink]
port = {broker_port}

[[bus]]
id = "readers"
kind = "tcp_server"
host = "127.0.0.1"
port = {tcp_port}

[[device]]
id = "station"
bus = "readers"
profile = "ingics/igs"
address = "CCB900000001"
"""
SETTINGS = """
[mqtt]
port = {broker_port}
[influx]
version = 1
url = "http://127.0.0.1:9"
[database]
url = "sqlite:///cloud.db"
[orders]
repeat_s = 2
"""


def test_a_gateway_confirms_what_the_api_was_given_and_gets_it_again_on_a_new_disk(tmp_path: Path) -> None:
    broker_port = free_port()
    site, path = tmp_path / "site.toml", tmp_path / "cloud.toml"
    site.write_text(SITE.format(broker_port=broker_port, tcp_port=free_port()), encoding="utf-8")
    path.write_text(SETTINGS.format(broker_port=broker_port), encoding="utf-8")
    settings = load_settings(path)
    parts = {
        name: Langyan(tmp_path, name, *words, ready=lambda: True)
        for name, words in (
            ("ingest", ("cloud", "ingest", str(path))),
            ("trades", ("cloud", "trades", str(path))),
            ("gateway", ("edge", "run", str(site))),
        )
    }
    with open_database(settings.database) as database, Mosquitto(tmp_path / "broker", port=broker_port):
        rig = Rig(database, settings)
        token = rig.add("manager", Role.MANAGER)
        with parts["ingest"], parts["trades"], parts["gateway"]:
            entries = [{"tag": f"EAC6{number:08X}", "note": "红色"} for number in range(700)]

            def is_confirmed(after_us: int = 0) -> bool:
                known = database.read(gateways_of)
                return any(one.state == "confirmed" and (one.confirmed_at_us or 0) > after_us for one in known)

            anyio.run(_post, rig, token, entries)
            assert wait_until(is_confirmed, LIMIT_S), database.read(gateways_of)
            anyio.run(_post, rig, token, [{"tag": "NEW", "case": "A-17"}])
            assert wait_until(is_confirmed, LIMIT_S), database.read(gateways_of)
            version, checksum = database.read(confirmed).version, database.read(confirmed).checksum
            parts["gateway"].kill()
            for file in tmp_path.glob("*.tags*"):
                file.unlink()
            parts["gateway"].start()
            assert wait_until(partial(is_confirmed, time.time_ns() // 1_000), LIMIT_S), database.read(gateways_of)
            # Asked by somebody else: a difference of nothing fits the list in force alone.
            part = StolenPart(version + 10, checksum, base=checksum)
            command = Command("probe", "bridge", part, time.time_ns() // 1_000 + 30_000_000)
            (result,) = anyio.run(partial(send_commands, settings, "bridge", [command], wait_s=30.0))
            assert (result.outcome, result.value) == (Outcome.DONE, float(version + 10))


async def _post(rig: Rig, token: str, entries: list[dict[str, str]]) -> None:
    async with rig.client(token) as client:
        answer = await client.post("/api/v1/stolen", json={"entries": entries})
        assert answer.status_code == 200, answer.text
