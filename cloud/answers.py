"""Receipts: what a worker says to a gateway when the database has its message, or never will."""

from msgspec import Struct

from cloud.clock import now_us
from cloud.database import DeadLetter
from cloud.mqtt_worker import Message, MqttWorker
from contract.errors import Refusal
from contract.ids import is_id
from contract.limits import MAX_CORRELATION_BYTES
from contract.receipts import Receipt, Verdict, encode_receipt
from contract.topics import Channel, topic

MAX_REASON_CHARS = 300


class Refused(Struct, frozen=True):
    """Why a message as a whole cannot be taken.

    Attributes:
        gateway: of its topic; None when the topic names none, and then nobody can be told.
    """

    refusal: Refusal
    why: str
    gateway: str | None


def dead_letter(message: Message, refused: Refused) -> DeadLetter:
    """Write the dead letter of a refused message."""
    return DeadLetter(
        topic=message.topic,
        gateway=refused.gateway,
        reason=refused.refusal,
        why=refused.why,
        payload=message.payload,
        received_at_us=message.received_at_us,
    )


def answer(
    worker: MqttWorker, message: Message, *, gateway: str | None, stored: int = 0, refused: int = 0, reason: str = ""
) -> None:
    """Send the receipt and then acknowledge; call it after the commit.

    The receipt goes to the receipt topic of the gateway that the message's topic names, whatever response topic
    the message asks for: nobody makes us publish elsewhere. Correlation data beyond the contract's limit are
    left out. A receipt that cannot be sent is counted and not kept: the gateway sends its batch again and gets another.

    Args:
        worker: publishes.
        message: being answered.
        gateway: of the message's topic; None sends no receipt.
        stored: readings or events committed.
        refused: readings or events that never will be.
        reason: one sentence, when anything was refused.
    """
    if gateway is not None and is_id(gateway):
        receipt = Receipt(
            verdict=Verdict.REFUSED if reason else Verdict.STORED,
            at_us=now_us(),
            stored=stored,
            refused=refused,
            reason=reason[:MAX_REASON_CHARS],
        )
        correlation = message.correlation
        if correlation is not None and len(correlation) > MAX_CORRELATION_BYTES:
            correlation = None
        if not worker.publish(topic(gateway, Channel.RECEIPT), encode_receipt(receipt), correlation=correlation):
            worker.count_lost_receipt()
    worker.ack(message)
