"""The `[telling]` tables of the settings file."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from cloud.desk.changes import What
from contract.alarms import Severity

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,47}$")]


class Markup(StrEnum):
    """How a message is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    HTML = "html"


class Channel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to reach people: mail, an SMS gateway, a robot of WeCom, DingTalk or Feishu, anything apprise knows.

    Attributes:
        name: what addresses of contacts say.
        url_env: environment variable with the apprise URL; `{address}` in it becomes the address, URL-quoted, and
            `{message_id}` the id of the message, which a repeat has too.
        markup: how the text is written.
        short: one line without a title, as an SMS wants it.
        max_chars: of a message; what is longer is cut.
        per_minute: messages, of all workers together; 0: as many as there are.
        concurrency: sends at once, of each worker.
    """

    name: Name
    url_env: str
    markup: Markup = Markup.TEXT
    short: bool = False
    max_chars: Annotated[int, Meta(ge=40, le=100_000)] = 2_000
    per_minute: Annotated[int, Meta(ge=0, le=100_000)] = 0
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4


class WebHook(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One program that is told of changes as CloudEvents.

    Attributes:
        name: in the delivery log and in commands.
        url: where events are posted; it holds no password.
        secret_env: environment variable with the key of the signature, at least 16 bytes.
        area: id of an area; only changes in it and below are sent. "": of everywhere.
        severities, what: only these; empty: all.
        ca: PEM file of the authority that signed the receiver's certificate, from the settings file's folder; "":
            those that the system trusts.
        concurrency: requests at once, of each worker; those of one alarm always go one after the other.
    """

    name: Name
    url: Annotated[str, Meta(pattern=r"^https?://[^\s@]+$")]
    secret_env: str
    area: str = ""
    severities: tuple[Severity, ...] = ()
    what: tuple[What, ...] = ()
    ca: str = ""
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 8


class Telling(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told by what.

    Attributes:
        timeout_s: hard limit of one send; then it is tried again, even if the thread hangs on.
        give_up_after_h: after it was queued; a delivery that fails then has failed for good.
        keep_days: the delivery log of messages.
        keep_events_days: the delivery log of web hooks.
        map_url: a link to a map, with `{latitude_deg}` and `{longitude_deg}` (WGS 84); "" writes the numbers.
    """

    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 20.0
    give_up_after_h: Annotated[float, Meta(gt=0, le=720)] = 24.0
    keep_days: Annotated[int, Meta(ge=1, le=3_650)] = 400
    keep_events_days: Annotated[int, Meta(ge=1, le=3_650)] = 7
    map_url: str = ""
    channel: tuple[Channel, ...] = ()
    webhook: tuple[WebHook, ...] = ()


def fault_of(telling: Telling) -> tuple[str, str] | None:
    """Find what must not be: the key and why; None when all is well."""
    for key, names in (
        ("channel", [one.name for one in telling.channel]),
        ("webhook", [one.name for one in telling.webhook]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            return f"telling.{key}", f"two are called {twice!r}"
    try:
        telling.map_url.format(latitude_deg=0.0, longitude_deg=0.0)
    except (LookupError, ValueError) as error:
        return "telling.map_url", f"only {{latitude_deg}} and {{longitude_deg}} may stand in braces: {error}"
    return None


def located(telling: Telling, folder: Path) -> Telling:
    """Make the paths of its files absolute, as seen from `folder`."""
    hooks = tuple(
        msgspec.structs.replace(hook, ca=str(folder / hook.ca)) if hook.ca else hook for hook in telling.webhook
    )
    return msgspec.structs.replace(telling, webhook=hooks)


def secret_variables(telling: Telling) -> list[tuple[str, str | None]]:
    """List the keys that name an environment variable with a secret, and what they name."""
    channels = [(f"telling.channel.{one.name}.url_env", one.url_env) for one in telling.channel]
    return [*channels, *((f"telling.webhook.{one.name}.secret_env", one.secret_env) for one in telling.webhook)]
