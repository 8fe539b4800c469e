"""Web hooks: a change as a CloudEvent, signed, posted, and what the answer means.

The signature follows Standard Webhooks, so that receivers find a library for it: HMAC-SHA256 over
`<webhook-id>.<webhook-timestamp>.<body>`, in base64, after the version `v1,`. The event travels in CloudEvents' HTTP
structured mode.

Source: CloudEvents 1.0.2 with its JSON format and HTTP binding; Standard Webhooks 1.0.0.
"""

import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Self

import aiohttp
import msgspec
from msgspec import Raw, Struct

from cloud.errors import HookGoneError, SettingsError, TellingError
from cloud.telling.settings import WebHook
from contract import cloudevents
from contract.cloudevents import CloudEvent

TYPE = "langyan.desk."
"""Beginning of an event's type; the rest is the change's word, see `cloud.desk.changes.What`."""
SOURCE = "/langyan/desk"
CONTENT_TYPE = f"{cloudevents.MEDIA_TYPE}; charset=utf-8"
MIN_SECRET_BYTES = 16
_SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins, not one
_MAX_ANSWER_BYTES = 2_000
_LONGEST_WAIT_S = 3_600.0
_GONE = 410
_BUSY = (429, 503)


class Request(Struct, frozen=True):
    """One signed request."""

    headers: dict[str, str]
    body: bytes


def read_secret(hook: WebHook, text: str) -> bytes:
    """Take the key from the environment's text: `whsec_` and base64, or any other text as it stands.

    Raises:
        SettingsError: no base64, or shorter than 16 bytes.
    """
    key = text.encode()
    if text.startswith(_SECRET_PREFIX):
        try:
            key = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
        except binascii.Error as error:
            raise SettingsError("environment", hook.secret_env, "after whsec_ stands no base64") from error
    if len(key) < MIN_SECRET_BYTES:
        raise SettingsError("environment", hook.secret_env, f"is shorter than {MIN_SECRET_BYTES} bytes")
    return key


def write_event(data: Mapping[str, Any]) -> bytes:
    """Write the data of a change as a CloudEvent; its id is the change's, so that a repeat can be told.

    Args:
        data: see `cloud.telling.history.event_of`.
    """
    return cloudevents.encode(
        CloudEvent(
            specversion="1.0",
            id=str(data["change"]),
            source=SOURCE,
            type=TYPE + str(data["what"]),
            subject=data["alarm"]["alarm_id"] if data["alarm"] else data["source"],
            time=cloudevents.to_rfc3339(data["at_us"]),
            datacontenttype="application/json",
            data=Raw(msgspec.json.encode(data)),
        )
    )


def sign(key: bytes, body: bytes, *, event_id: str, now_us: int) -> Request:
    """Add the headers that prove who sent `body`, and when."""
    timestamp = str(now_us // 1_000_000)
    signed = f"{event_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    headers = {
        "Content-Type": CONTENT_TYPE,
        "User-Agent": "langyan",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
    return Request(headers, body)


def judge(status: int, headers: Mapping[str, str], *, now_us: int) -> None:
    """Read what an answer means; nothing for any 2xx.

    Raises:
        HookGoneError: 410.
        TellingError: anything else; it is tried again, after what Retry-After says and at most an hour.
    """
    if 200 <= status < 300:  # noqa: PLR2004 - success
        return
    if status == _GONE:
        raise HookGoneError("HTTP 410: it wants no more events")
    wait_s = retry_after_s(headers.get("Retry-After", ""), now_us=now_us) if status in _BUSY else None
    raise TellingError(f"HTTP {status}", retry_after_s=wait_s, is_receiver=status in _BUSY)


def retry_after_s(text: str, *, now_us: int) -> float | None:
    """Read a Retry-After header, seconds or a date; None when there is none that can be read."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        # Longer numbers than this mean "never", and would only cost time to read.
        return min(float(text[:9]), _LONGEST_WAIT_S)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment.timestamp() - now_us / 1_000_000, 0.0), _LONGEST_WAIT_S)


class HookSender:
    """Posts to one web hook; an async context manager.

    Args:
        hook: its settings.
        key: of the signature.
        limit_s: hard limit of one request.
    """

    def __init__(self, hook: WebHook, key: bytes, *, limit_s: float) -> None:
        self._hook = hook
        self._key = key
        trust: ssl.SSLContext | bool = True
        if hook.ca:
            try:
                trust = ssl.create_default_context(cafile=hook.ca)
            except OSError as error:
                raise SettingsError(hook.ca, f"telling.webhook.{hook.name}.ca", str(error)) from error
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=hook.concurrency),
            timeout=aiohttp.ClientTimeout(total=limit_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, data: Mapping[str, Any], *, now_us: int) -> None:
        """Post one event.

        Raises:
            HookGoneError, TellingError: as `judge`; also not reached, or no end within the limit.
        """
        request = sign(self._key, write_event(data), event_id=str(data["change"]), now_us=now_us)
        try:
            async with self._session.post(
                self._hook.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as answer:
                # A connection can be used again only when its answer has been read; a long one is not worth it.
                await answer.content.read(_MAX_ANSWER_BYTES)
                judge(answer.status, answer.headers, now_us=now_us)
        except TimeoutError as error:
            raise TellingError("no answer in time", is_receiver=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Not its text: a URL may hold a token.
            raise TellingError(f"not reached: {type(error).__name__}", is_receiver=True) from error
