"""Group robots: what they are sent, and what their answers mean; a server on this machine is the maker's.

Bodies and codes: WeCom, developer.work.weixin.qq.com/document/path/91770; DingTalk,
open.dingtalk.com/document/robots/custom-robot-access; Feishu, open.feishu.cn, guide to custom bots.
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.errors import TellingError
from cloud.telling.channels import open_url
from cloud.telling.robots import RobotRequest, post, refusal_in, robot_request
from cloud.telling.settings import Markup
from cloud.telling.templates import Message

# One of apprise's many plugins asks for a module that Python gives up; none of those meant here does.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
KEY = "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"
TOKEN = "0123456789abcdef0123456789abcdef"
MESSAGE = Message("【紧急】紧急按钮", "地点：东门")
TEXT = "【紧急】紧急按钮\n地点：东门"


def request_of(url: str, markup: Markup = Markup.TEXT) -> RobotRequest:
    request = robot_request(open_url(url, "robot"), MESSAGE, markup)
    assert request is not None
    return request


def test_wecom_is_sent_text_or_markdown() -> None:
    request = request_of(f"wecombot://{KEY}")
    assert request.url == f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={KEY}"
    assert request.payload == {"msgtype": "text", "text": {"content": TEXT}}
    marked = request_of(f"wecombot://{KEY}", Markup.MARKDOWN)
    assert marked.payload == {"msgtype": "markdown", "markdown": {"content": TEXT}}


def test_dingtalk_is_sent_a_signature_and_whom_to_call_by_name() -> None:
    request = request_of(f"dingtalk://SECabcdef@{TOKEN}/13800000000")
    split = urlsplit(request.url)
    query = parse_qs(split.query)
    assert f"{split.scheme}://{split.netloc}{split.path}" == "https://oapi.dingtalk.com/robot/send"
    assert query["access_token"] == [TOKEN]
    # The maker's page: HMAC-SHA256 of "timestamp\nsecret" with the secret, milliseconds since 1970.
    (moment,) = query["timestamp"]
    assert len(moment) == 13
    mac = hmac.new(b"SECabcdef", f"{moment}\nSECabcdef".encode(), hashlib.sha256).digest()
    assert query["sign"] == [base64.b64encode(mac).decode()]
    at = {"atMobiles": ["13800000000"], "isAtAll": False}
    assert request.payload == {"msgtype": "text", "text": {"content": TEXT}, "at": at}


def test_dingtalk_without_a_secret_is_not_signed_and_takes_markdown() -> None:
    request = request_of(f"dingtalk://{TOKEN}", Markup.MARKDOWN)
    assert request.url == f"https://oapi.dingtalk.com/robot/send?access_token={TOKEN}"
    assert request.payload["markdown"] == {"title": MESSAGE.title, "text": TEXT}


def test_feishu_is_sent_text() -> None:
    request = request_of(f"feishu://{TOKEN}")
    assert request.url.rstrip("/") == f"https://open.feishu.cn/open-apis/bot/v2/hook/{TOKEN}"
    assert request.payload == {"msg_type": "text", "content": {"text": TEXT}}


def test_another_service_is_left_to_apprise() -> None:
    assert robot_request(open_url("json://localhost", "other"), MESSAGE, Markup.TEXT) is None


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        ({"errcode": 0, "errmsg": "ok"}, ""),
        ({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}, ""),
        ({"StatusCode": 0, "StatusMessage": "success"}, ""),
        ({"errcode": 93000, "errmsg": "invalid webhook url"}, "refused with code 93000: invalid webhook url"),
        ({"errcode": 45009, "errmsg": "api freq out of limit"}, "refused with code 45009: api freq out of limit"),
        ({"errcode": 310000, "errmsg": "sign not match"}, "refused with code 310000: sign not match"),
        ({"code": 19024, "msg": "Key Words Not Found"}, "refused with code 19024: Key Words Not Found"),
        ({"code": 9499, "msg": "Bad Request", "data": {}}, "refused with code 9499: Bad Request"),
        ({}, "refused with code None: "),
        ([], "answered something that is no JSON object"),
    ],
)
def test_what_a_robot_answers_with_200_is_read(answer: Any, refusal: str) -> None:
    assert refusal_in(json.dumps(answer).encode()) == refusal


@given(st.binary(max_size=200))
def test_garbage_is_a_refusal_and_no_fault(answer: bytes) -> None:
    assert refusal_in(answer)


class _Robot(HTTPServer):
    status = 200
    answer = b'{"errcode":0}'
    location = ""
    got: list[bytes]


class _Handler(BaseHTTPRequestHandler):
    server: _Robot

    def do_POST(self) -> None:
        self.server.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def robot() -> Iterator[_Robot]:
    with _Robot(("127.0.0.1", 0), _Handler) as server:
        server.got = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def posted(robot: _Robot) -> RobotRequest:
    return RobotRequest(f"http://127.0.0.1:{robot.server_port}/send?key={KEY}", {"text": {"content": TEXT}})


def test_a_post_carries_the_text_as_it_is(robot: _Robot) -> None:
    post(posted(robot), timeout_s=5)
    assert robot.got == [f'{{"text": {{"content": {json.dumps(TEXT, ensure_ascii=False)}}}}}'.encode()]


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (200, b'{"errcode":45009,"errmsg":"api freq out of limit"}', "refused with code 45009"),
        (200, b"<html>", "no JSON"),
        (302, b"", "HTTP 302"),
        (500, KEY.encode(), "HTTP 500"),
    ],
)
def test_a_refusal_is_an_error_that_says_no_key(robot: _Robot, status: int, answer: bytes, words: str) -> None:
    robot.status, robot.answer, robot.location = status, answer, f"http://127.0.0.1:{robot.server_port}/other"
    with pytest.raises(TellingError, match=words) as caught:
        post(posted(robot), timeout_s=5)
    assert KEY not in str(caught.value)
    assert len(robot.got) == 1


def test_a_robot_that_echoes_its_key_does_not_bring_it_into_the_log(robot: _Robot) -> None:
    robot.answer = json.dumps({"errcode": 93000, "errmsg": f"invalid key {KEY}"}).encode()
    with pytest.raises(TellingError) as caught:
        post(posted(robot), timeout_s=5)
    assert KEY not in str(caught.value)


def test_a_robot_that_is_not_there_is_an_error_that_says_no_key(robot: _Robot) -> None:
    url = posted(robot).url.replace(str(robot.server_port), "1")
    with pytest.raises(TellingError, match="no answer") as caught:
        post(RobotRequest(url, {}), timeout_s=5)
    assert KEY not in str(caught.value)
