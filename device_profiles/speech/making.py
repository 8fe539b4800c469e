"""Conversations by language. A language's module is read only when a site uses it.

The module `device_profiles/speech/<language>.py` has a maker, `make_<language>`, and where the connections of one bus
share a memory (the sequence numbers of DC-09) a class for it, made once a bus and handed to every conversation.

On UDP one call of `hear` is one datagram and one `Said.send` is one. On MQTT one call is one message: its topic, a NUL
(no topic has one: MQTT 5.0, 1.5.4) and its payload, with a NUL before the topic when the broker has kept it from
before (retained); `Said.send` likewise.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from device_profiles.model import Language, Profile
from device_profiles.speech.said import Speaker, Speech


@runtime_checkable
class Subscribing(Protocol):
    """What a conversation has beside all else that is held over MQTT."""

    def topics(self) -> tuple[str, ...]:
        """Tell what to subscribe to."""


# The class of the memory that all connections of a bus share.
_SHARED = {Language.DC09: "Dc09Shared", Language.JT808: "Jt808Shared", Language.EB_WAND: "EbWandShared"}


def make_shared(language: Language) -> object | None:
    """Make what the conversations of one bus share; None where each is on its own."""
    name = _SHARED.get(language)
    return None if name is None else getattr(_module(language), name)()


def make_speech(
    language: Language, speakers: Sequence[Speaker], profiles: Mapping[str, Profile], shared: object | None = None
) -> Speech:
    """Make a fresh conversation, for one line, connection or peer.

    Args:
        language: what the bus speaks.
        speakers: all devices of the bus.
        profiles: theirs, by device id.
        shared: what `make_shared` made for the bus.
    """
    make = getattr(_module(language), f"make_{language.value}")
    more = {} if shared is None else {"shared": shared}
    speech: Speech = make(speakers, profiles=profiles, **more)
    return speech


def _module(language: Language) -> Any:
    return import_module(f"device_profiles.speech.{language.value}")
