"""Errors of the contract: one root, and the closed list of reasons for refusing a message."""

from enum import StrEnum

from contract.limits import MAX_WHY_CHARS


class Refusal(StrEnum):
    """Why a message is refused; the word that dead letters, counters and receipts carry."""

    TOO_LARGE = "too-large"
    BAD_TOPIC = "bad-topic"
    BAD_HEADER = "bad-header"
    BAD_ENCODING = "bad-encoding"
    NOT_SENML = "not-senml"
    NOT_CLOUDEVENT = "not-cloudevent"
    NOT_BIRTH = "not-birth"
    NOT_RECEIPT = "not-receipt"
    WRONG_GATEWAY = "wrong-gateway"
    UNKNOWN_GATEWAY = "unknown-gateway"
    DATABASE = "refused-by-database"


class ContractError(Exception):
    """Root of every error raised by the contract package."""


class DecodeError(ContractError):
    """The bytes are not the message they claim to be; nothing of them may be used.

    Attributes:
        refusal: the closed reason, for counters and dead letters.
        why: one English sentence with the place of the fault, for people; at most `MAX_WHY_CHARS`
            printable characters, whatever the sender wrote.
    """

    def __init__(self, refusal: Refusal, why: str) -> None:
        shown = "".join(char if char.isprintable() else "?" for char in why[:MAX_WHY_CHARS])
        super().__init__(f"{refusal}: {shown}")
        self.refusal = refusal
        self.why = shown


class EncodeError(ContractError):
    """A value cannot be expressed in the contract: a fault of the caller, found before sending."""


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error inside nested groups: they mostly tell of the same cause."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
