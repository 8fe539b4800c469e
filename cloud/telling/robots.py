"""Group robots of WeCom, DingTalk and Feishu, which answer 200 also when they refuse.

A robot says in the body of its answer whether it took a message: too many in a minute, a keyword missing, a wrong
signature are all HTTP 200. apprise looks at the status alone, and would call a critical alarm sent that nobody sees.
So apprise reads the URL and knows the place and the signature, and the conversation is ours.

Source: the makers' pages on custom group robots (errcode of WeCom and DingTalk, code of Feishu; 0 is success).
"""

import json
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.wecombot import NotifyWeComBot
from msgspec import Struct

from cloud.errors import TellingError
from cloud.telling.hiding import hide
from cloud.telling.settings import Markup
from cloud.telling.templates import Message

_MAX_ANSWER_BYTES = 64 * 1024
_MAX_WORDS = 200


class RobotRequest(Struct, frozen=True):
    """What is posted where; the URL is a secret."""

    url: str
    payload: dict[str, Any]


def robot_request(plugin: object, message: Message, markup: Markup) -> RobotRequest | None:
    """Write the request for a robot; None when `plugin` is none of the three."""
    text = f"{message.title}\n{message.body}" if message.title else message.body
    if isinstance(plugin, NotifyWeComBot):
        kind = "markdown" if markup is Markup.MARKDOWN else "text"
        return RobotRequest(str(plugin.api_url), {"msgtype": kind, kind: {"content": text}})
    if isinstance(plugin, NotifyFeishu):
        url = plugin.notify_url.format(token=plugin.token)
        return RobotRequest(url, {"msg_type": "text", "content": {"text": text}})
    if isinstance(plugin, NotifyDingTalk):
        url = plugin.notify_url.format(token=plugin.token)
        if plugin.secret:
            moment, signature = plugin.get_signature()  # type: ignore[no-untyped-call]
            # The signature comes quoted already.
            url += f"&{urlencode({'timestamp': moment})}&sign={signature}"
        at = {"atMobiles": list(plugin.targets), "isAtAll": False}
        if markup is Markup.MARKDOWN:
            shown = {"title": message.title or message.body[:40], "text": text}
            return RobotRequest(url, {"msgtype": "markdown", "markdown": shown, "at": at})
        return RobotRequest(url, {"msgtype": "text", "text": {"content": text}, "at": at})
    return None


def post(request: RobotRequest, *, timeout_s: float) -> None:
    """Post it and read the answer; blocks.

    Raises:
        TellingError: not reached, or refused; the text names neither URL nor key.
    """
    body = json.dumps(request.payload, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    asked = urllib.request.Request(request.url, data=body, headers=headers, method="POST")  # noqa: S310 - a maker's
    opener = urllib.request.build_opener(
        _NoRedirect(), urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    try:
        with opener.open(asked, timeout=timeout_s) as answer:
            refusal = refusal_in(answer.read(_MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        error.close()
        raise TellingError(f"HTTP {error.code}") from None
    except (OSError, ValueError) as error:
        raise TellingError(f"no answer: {type(error).__name__}") from None
    if refusal:
        # It may say the key that it does not know.
        raise TellingError(hide(refusal, [request.url]))


def refusal_in(answer: bytes) -> str:
    """Tell why a robot refused; "" when it says that it took the message."""
    try:
        words = json.loads(answer)
    except ValueError:
        return "answered something that is no JSON"
    if not isinstance(words, dict):
        return "answered something that is no JSON object"
    # Feishu's older robots say StatusCode.
    code = next((words[key] for key in ("errcode", "code", "StatusCode") if key in words), None)
    if code == 0:
        return ""
    reason = str(words.get("errmsg") or words.get("msg") or "")[:_MAX_WORDS]
    return f"refused with code {str(code)[:20]}: {reason}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A robot that answers elsewhere is none: the message would travel to wherever it says."""

    def redirect_request(self, *_: Any) -> None:
        return None
