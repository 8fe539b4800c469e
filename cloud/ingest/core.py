"""What a telemetry message becomes: lines for InfluxDB, or a refusal. Pure."""

from collections.abc import Collection

from msgspec import Struct

from cloud.answers import Refused
from cloud.errors import UnstorableError
from cloud.feed.queue import Waiting
from cloud.feed.sorting import Trade, sort_out, write_samples
from cloud.influx.lines import encode_lines
from cloud.intake import Registry, gateway_of, open_payload
from cloud.mqtt_worker import Message
from contract.errors import DecodeError, Refusal
from contract.telemetry import decode_telemetry
from contract.topics import Channel


class Batch(Struct, frozen=True):
    """A message's readings, ready to be written.

    Attributes:
        gateway: of its topic.
        lines: one a sample.
        readings: how many each line holds.
        waiting: what the trades must judge.
        at_us: when each line was measured.
    """

    gateway: str
    lines: tuple[bytes, ...]
    readings: tuple[int, ...]
    waiting: tuple[Waiting, ...] = ()
    at_us: tuple[int, ...] = ()


def interpret(message: Message, *, registry: Registry | None = None, follow: Collection[Trade] = ()) -> Batch | Refused:
    """Read one telemetry message.

    Args:
        message: as it arrived.
        registry: the gateways known; None takes any.
        follow: trades for which samples are kept.
    """
    try:
        gateway, payload = open_payload(message, channel=Channel.TELEMETRY, registry=registry)
        samples = decode_telemetry(payload)
    except DecodeError as error:
        return Refused(error.refusal, error.why, gateway_of(message))
    tags = {"gateway": gateway}
    if registry is not None:
        tags["site"] = registry[gateway].site
    try:
        lines = tuple(encode_lines(samples, tags=tags, received_at_us=message.received_at_us))
    except UnstorableError as error:
        return Refused(Refusal.NOT_SENML, str(error), gateway)
    waiting = tuple(
        Waiting(trade, gateway, message.received_at_us, write_samples(found))
        for trade, found in (sort_out(samples, follow) if follow else {}).items()
    )
    readings, at_us = tuple(len(sample.points) for sample in samples), tuple(sample.at_us for sample in samples)
    return Batch(gateway, lines, readings, waiting, at_us)
