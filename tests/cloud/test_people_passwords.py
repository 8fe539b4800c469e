"""Passwords, secrets that stay hidden, and signed links."""

import json
from typing import Any

import msgspec
import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type
from hypothesis import given
from hypothesis import strategies as st

from cloud.errors import LinkRefusedError, PasswordRefusedError
from cloud.people import passwords
from cloud.people.hidden import Hidden
from cloud.people.links import LONGEST_US, Link, make_link, read_link
from cloud.people.passwords import check_password, hash_password, random_password, rehashed, verify_password
from cloud.people.roles import Action
from tests.cloud.rig import T0_US

GOOD = "fern lamp oyster 7"
KEY = Hidden(b"k" * 32)
ALARM = "0123456789abcdef01234567"
HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least that argon2 takes: here nobody attacks."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def test_the_parameters_are_those_that_the_page_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    hasher = passwords.HASHER
    assert (hasher.time_cost, hasher.memory_cost, hasher.parallelism) == (3, 32 * 1024, 1)
    assert hasher.type is Type.ID
    kept = hash_password(GOOD)
    assert kept.value.startswith("$argon2id$v=19$m=32768,t=3,p=1$")
    assert verify_password(kept, GOOD)
    assert rehashed(kept, GOOD) is None


@pytest.mark.parametrize(
    "password",
    ["", "short", "x" * 9, "1234567890", "Qwerty-12345", "PASSWORD 123", "admin_123456", "aaaaaaaaaaaa", "ababababab",
     "wangfang1", "wangfang12", "x" * 1025, "\ud800" * 12],
)  # fmt: skip
def test_what_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefusedError) as caught:
        check_password(password, name="wangfang")
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    "password", [GOOD, "火车头 西瓜 台灯 2026", "correcthorse", "密码要足够长才行啊好", "xy" * 500 + "zzzz"]
)
def test_what_is_long_enough_is_taken(password: str) -> None:
    kept = hash_password(password, name="wangfang")
    assert verify_password(kept, password)
    assert not verify_password(kept, password + " ")
    assert password not in kept.value


def test_a_password_is_the_same_from_every_keyboard() -> None:
    kept = hash_password("caf\u00e9 au lait")
    assert verify_password(kept, "cafe\u0301 au lait")


@pytest.mark.parametrize("said", ["", "x" * 5_000_000, "\ud800", "\0"])
def test_whatever_is_said_is_an_answer_and_no_error(said: str) -> None:
    assert not verify_password(hash_password(GOOD), said)
    assert not verify_password(None, said)


def test_who_does_not_exist_takes_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, hash: str, password: str) -> bool:  # noqa: A002
        worked.append(hash.rsplit("$", 2)[0])
        return verify(self, hash, password)

    kept = hash_password(GOOD)
    monkeypatch.setattr(PasswordHasher, "verify", counted)
    assert not verify_password(kept, "another one")
    assert not verify_password(None, "another one")
    assert not verify_password(None, GOOD)
    assert len(worked) == 3
    assert len(set(worked)) == 1, "the same algorithm, version and cost"


def test_a_hash_is_made_anew_when_its_cost_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = hash_password(GOOD)
    assert rehashed(kept, GOOD) is None
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    fresh = rehashed(kept, GOOD)
    assert fresh is not None
    assert "m=16,t=2" in fresh.value
    assert verify_password(fresh, GOOD)


def test_random_passwords_differ_and_would_be_taken() -> None:
    made = {random_password().value for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_password(password, name="admin")


def test_a_secret_stands_in_no_line_and_no_json() -> None:
    secret: Any = Hidden("tell-nobody")
    told = f"{secret} {secret!r} {[secret]} {Hidden(b'tell-nobody')}"
    assert "tell-nobody" not in told
    with pytest.raises(TypeError):
        msgspec.json.encode({"x": secret})
    with pytest.raises(TypeError):
        json.dumps(secret)


def made(**more: Any) -> str:
    values: dict[str, Any] = {"action": Action.ACKNOWLEDGE, "now_us": T0_US, "lasts_us": HOUR_US} | more
    return make_link(KEY, ALARM, "wang.fang", **values)


def test_a_link_says_who_may_do_what_until_when() -> None:
    link = read_link(KEY, made(), action=Action.ACKNOWLEDGE, now_us=T0_US + HOUR_US - 1)
    assert link == Link(ALARM, "wang.fang", Action.ACKNOWLEDGE, T0_US + HOUR_US)


def test_a_link_ends() -> None:
    with pytest.raises(LinkRefusedError, match="expired") as caught:
        read_link(KEY, made(), action=Action.ACKNOWLEDGE, now_us=T0_US + HOUR_US)
    assert caught.value.has_expired


def test_a_link_is_for_one_thing_and_from_one_desk() -> None:
    for key, action in [(KEY, Action.CLOSE), (Hidden(b"other" * 7), Action.ACKNOWLEDGE)]:
        with pytest.raises(LinkRefusedError) as caught:
            read_link(key, made(), action=action, now_us=T0_US)
        assert not caught.value.has_expired


@given(st.integers(min_value=0), st.characters(codec="utf-8"))
def test_a_link_of_which_one_character_is_changed_is_refused(place: int, character: str) -> None:
    text = made()
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(LinkRefusedError):
            read_link(KEY, changed, action=Action.ACKNOWLEDGE, now_us=T0_US)


@given(st.text(max_size=300) | st.from_regex(r"[a-z~0-9]{0,80}", fullmatch=True))
def test_anything_else_is_no_link(text: str) -> None:
    with pytest.raises(LinkRefusedError):
        read_link(KEY, text, action=Action.ACKNOWLEDGE, now_us=T0_US)


def test_parts_of_a_link_cannot_be_shifted() -> None:
    signature = made().rsplit("~", 1)[1]
    expiry = (T0_US + HOUR_US) // 1_000_000
    for signed in (f"{ALARM}w~ang.fang~acknowledge~{expiry}", f"{ALARM}~wang.fang~acknowledge~{expiry + 60}"):
        with pytest.raises(LinkRefusedError):
            read_link(KEY, f"{signed}~{signature}", action=Action.ACKNOWLEDGE, now_us=T0_US)


@pytest.mark.parametrize("lasts_us", [0, -1, LONGEST_US + 1])
def test_no_link_is_made_that_lasts_too_long_or_not_at_all(lasts_us: int) -> None:
    with pytest.raises(ValueError, match="no link"):
        made(lasts_us=lasts_us)


@pytest.mark.parametrize(("alarm_id", "name"), [("a~b", "wang"), (ALARM, "wang~fang"), ("", "wang"), (ALARM, "王芳")])
def test_no_link_is_made_of_what_could_be_read_otherwise(alarm_id: str, name: str) -> None:
    with pytest.raises(ValueError, match="no link"):
        make_link(KEY, alarm_id, name, action=Action.ACKNOWLEDGE, now_us=T0_US, lasts_us=HOUR_US)
