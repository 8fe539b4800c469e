"""The trades' worker and a real broker: orders and the list reach a gateway, through a kill and through nonsense."""

from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloud.clock import now_us
from cloud.database import Database
from cloud.database.tables import dead_letter
from cloud.orders import sending
from cloud.orders.life import OrderState
from cloud.orders.orders import GatewayOrder, give, outcome_of
from cloud.orders.settings import Orders
from cloud.orders.stolen import StolenEntry, add_stolen, confirmed
from cloud.settings import Settings
from cloud.trades.shell import run_trades
from contract.commands import Outcome, Result, encode_result
from contract.tags import Arm
from contract.topics import Channel, topic
from edge.presence.stolen import StolenList
from langyan.servers import Langyan, Mosquitto
from tests.cloud.conftest import MakeSettings
from tests.cloud.order_rig import put_gateway
from tests.cloud.rig import GatewayClient, count_of, eventually, fresh, running
from tests.cloud.test_tag_commands import Reader


@pytest.fixture
def name(database: Database) -> str:
    gateway = fresh("g")
    database.run(partial(put_gateway, name=gateway))
    return gateway


@pytest.fixture
def settings(make_settings: MakeSettings, mosquitto: Mosquitto) -> Settings:
    # Nobody writes to InfluxDB here.
    made = make_settings(mosquitto.port, "http://127.0.0.1:9")
    return replace(made, orders=Orders(repeat_s=1.0))


def given(database: Database, gateway: str, now_us: int) -> str:
    order = GatewayOrder(id=fresh("o"), gateway=gateway, order=Arm(("T1",)), by="王芳", expires_at_us=now_us + 10**9)
    database.run(partial(give, orders=[order], now_us=now_us))
    return order.id


def state_of(database: Database, id_: str) -> OrderState:
    return database.read(partial(outcome_of, ids=[id_]))[id_].state


def test_orders_and_the_list_reach_a_gateway_and_nonsense_becomes_a_dead_letter(
    mosquitto: Mosquitto, database: Database, settings: Settings, name: str
) -> None:
    stolen = StolenList()
    with (
        running(run_trades, settings),
        GatewayClient(mosquitto.port, name, also=(topic(name, Channel.COMMAND),)) as client,
        Reader(client, stolen),
    ):
        client.send(Channel.RESULT, b"nonsense")
        client.send(Channel.RESULT, encode_result(Result("of-nobody", name, Outcome.DONE, now_us())))
        id_ = given(database, name, now_us())
        entries = [StolenEntry(f"T{number}") for number in range(600)]
        database.run(partial(add_stolen, entries=entries, by="王芳", now_us=now_us()))
        eventually(lambda: state_of(database, id_) is OrderState.DONE)
        eventually(lambda: database.read(confirmed).gateways == {name})
    assert len(stolen.notes) == 600
    assert count_of(database, dead_letter) == 1


def test_what_a_killed_worker_had_noted_and_not_sent_is_sent_by_another(
    mosquitto: Mosquitto, database: Database, settings: Settings, name: str, tmp_path: Path
) -> None:
    id_ = given(database, name, now_us())
    # The moment between the commit and the publishing, as a worker leaves it that is killed there.
    (lost,) = database.run(partial(sending.take_due, settings=settings.orders, now_us=now_us()))
    path = tmp_path / "cloud.toml"
    path.write_text(
        f'[mqtt]\nport = {mosquitto.port}\n[influx]\nversion = 1\nurl = "http://127.0.0.1:9"\n'
        '[database]\nurl = "sqlite:///cloud.db"\n[orders]\nrepeat_s = 1\n'
    )
    with GatewayClient(mosquitto.port, name, also=(topic(name, Channel.COMMAND),)) as client:
        worker = Langyan(tmp_path, "trades", "cloud", "trades", str(path), ready=lambda: True)
        with worker:
            eventually(lambda: any(one.topic == topic(name, Channel.COMMAND) for one in client.received))
            worker.kill()
        with Reader(client, StolenList()), running(run_trades, settings):
            eventually(lambda: state_of(database, id_) is OrderState.DONE)
        commands = [one.payload for one in client.received if one.topic == topic(name, Channel.COMMAND)]
    assert all(lost.command.id.encode() in payload for payload in commands)
