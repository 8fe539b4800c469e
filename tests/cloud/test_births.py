"""Births that ask for a receipt, against a real broker and database."""

import time

from cloud.ingest import run_ingest
from cloud.settings import Settings
from contract.presence import Birth, encode_presence
from contract.receipts import Verdict
from contract.topics import Channel, topic
from langyan.servers import Influx, Mosquitto
from tests.cloud.conftest import MakeSettings
from tests.cloud.rig import T0_US, GatewayClient, fresh, running


def test_a_birth_that_asks_for_a_receipt_is_told_the_time(
    make_settings: MakeSettings, mosquitto: Mosquitto, influx: Influx
) -> None:
    settings = make_settings(mosquitto.port, influx.url)
    with GatewayClient(mosquitto.port, fresh("g")) as gateway:
        _story(settings, gateway)


def _story(settings: Settings, gateway: GatewayClient) -> None:
    birth = encode_presence(Birth(gateway.gateway, "boot", "1", "三中", T0_US))
    answer_to = topic(gateway.gateway, Channel.RECEIPT)
    with running(run_ingest, settings):
        before_us = time.time_ns() // 1_000
        gateway.send(Channel.BIRTH, birth, correlation=b"time", response_topic=answer_to, retain=True)
        told = gateway.receipt(b"time")
        assert told.verdict is Verdict.STORED
        assert before_us <= told.at_us <= time.time_ns() // 1_000
        gateway.send(Channel.BIRTH, b"nonsense", correlation=b"bad", response_topic=answer_to)
        assert gateway.receipt(b"bad").verdict is Verdict.REFUSED
        gateway.send(Channel.BIRTH, birth, correlation=b"mute", retain=True)
    with running(run_ingest, settings):
        # This worker gets the retained birth, whose sender does not wait any more, before it answers this batch.
        gateway.send(Channel.BIRTH, birth, correlation=b"again", response_topic=answer_to, retain=True)
        gateway.receipt(b"again")
    assert not gateway.receipts(b"mute")
    assert len(gateway.receipts(b"time")) == 1
