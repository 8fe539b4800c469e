"""Failed logins wait longer and longer, and nobody can shut another out: the rules, and what they come to in use."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from cloud.database import Database
from cloud.database.people_tables import audit, login_attempt
from cloud.desk.changes import Actor
from cloud.errors import LoginRefusedError, LoginThrottledError
from cloud.people import login, passwords
from cloud.people.audit import list_audit
from cloud.people.login import log_in
from cloud.people.passwords import hash_password
from cloud.people.roles import Role
from cloud.people.sessions import Lifetimes
from cloud.people.store import CONSOLE, NewUser, add_user, give_password
from cloud.people.throttle import NAME, ORIGIN, PAIR, Failures, Rule, name_key, origin_key, wait_us
from tests.cloud.rig import T0_US

S = 1_000_000
DAY_S = 86_400
WRONG = "wrong"
PASSWORD = "fern lamp oyster 7"
ACTOR = Actor(CONSOLE, CONSOLE)
RULES = [PAIR, ORIGIN, NAME]


@given(st.sampled_from(RULES), st.integers(0, 10**9), st.integers(0, 10**16), st.integers(0, 10**16))
def test_a_wait_is_never_longer_than_its_rules_longest(rule: Rule, count: int, last_us: int, now_us: int) -> None:
    assert 0 <= wait_us(rule, Failures(count, last_us), now_us) <= rule.longest_us


@given(st.sampled_from(RULES), st.integers(0, 10**6), st.integers(0, 10**16), st.integers(0, 10**10))
def test_more_failures_never_shorten_a_wait_and_it_ends(rule: Rule, count: int, last_us: int, after_us: int) -> None:
    now_us = last_us + after_us
    wait = wait_us(rule, Failures(count, last_us), now_us)
    assert wait <= wait_us(rule, Failures(count + 1, last_us), now_us)
    assert wait_us(rule, Failures(count, last_us), now_us + wait) == 0


def test_waits_double() -> None:
    waits = [wait_us(PAIR, Failures(count, T0_US), T0_US) // S for count in range(18)]
    assert waits == [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


@pytest.mark.parametrize(
    ("origin", "key"),
    [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
     ("2001:db8:1:2::9", "2001:db8:1:2::/64"), ("unix", "unix"), ("x" * 500, "x" * 200)],
)  # fmt: skip
def test_an_origin_is_an_address_or_the_network_of_one_subscriber(origin: str, key: str) -> None:
    assert origin_key(origin) == key


def test_a_name_of_any_length_is_counted_and_cannot_be_read() -> None:
    assert len({name_key(name) for name in ("wang", "wang ", "x" * 10**6, "\ud800", "王芳")}) == 5
    assert {len(name_key(name)) for name in ("wang", "x" * 10**6)} == {64}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def users(desk_database: Database) -> Database:
    for name in ("wang", "li"):
        add(desk_database, name)
    return desk_database


def add(database: Database, name: str) -> None:
    new, hashed = NewUser(name, Role.OPERATOR), hash_password(PASSWORD)
    database.run(lambda c: add_user(c, new, hashed, must_change=False, actor=ACTOR, editor=None, now_us=T0_US))


def tried(database: Database, at_s: float, password: str = WRONG, name: str = "wang", origin: str = "192.0.2.1") -> int:
    """Try once: 0 when it worked, -1 when it was refused, else the seconds to wait."""
    now_us = T0_US + round(at_s * S)
    try:
        log_in(database, name, password, origin=origin, now_us=now_us, lifetimes=Lifetimes())
    except LoginRefusedError:
        return -1
    except LoginThrottledError as error:
        return error.retry_after_s
    return 0


def test_after_five_failures_a_sixth_and_then_waits(users: Database) -> None:
    assert [tried(users, at) for at in range(6)] == [-1] * 6
    assert tried(users, 5.5, PASSWORD) == 1, "not even the right one is looked at"
    assert tried(users, 6.0) == -1
    assert [tried(users, 6.0), tried(users, 7.9), tried(users, 8.0)] == [2, 1, -1]
    assert tried(users, 12.0, PASSWORD) == 0
    assert [tried(users, at) for at in range(13, 19)] == [-1] * 6, "a success begins anew"


def test_one_origin_never_holds_up_another_however_long_it_tries(users: Database) -> None:
    at_s, guesses = 0.0, 0
    while at_s < 6 * 3_600:
        wait = tried(users, at_s)
        guesses += wait < 0
        at_s += max(wait, 0.1)
    # 5 and one more, ten that double from 1 s to 512 s, then one in 900 s.
    assert guesses == 16 + (6 * 3_600 - 1023) // 900
    assert tried(users, at_s, PASSWORD, origin="192.0.2.2") == 0
    assert tried(users, at_s, PASSWORD, name="li") == 0, "the origin's own count is of the last hour"


def test_many_origins_slow_each_other_down_but_not_where_the_user_works(users: Database) -> None:
    assert tried(users, 0, PASSWORD, origin="198.51.100.1") == 0
    guesses = sum(tried(users, 60 + each / 1_000, origin=f"203.0.113.{each}") == -1 for each in range(90))
    assert guesses == 51
    assert tried(users, 60.5, origin="203.0.113.250") == 1
    assert tried(users, 60.5, PASSWORD, origin="198.51.100.1") == 0
    assert tried(users, 60.5, PASSWORD, name="li", origin="203.0.113.251") == 0
    for step in range(20):
        tried(users, 100 + 100 * step, origin=f"198.18.0.{step}")
    assert tried(users, 2_000, origin="203.0.113.252") == 60, "at worst a minute for a new place"
    assert tried(users, 2_060, PASSWORD, origin="203.0.113.252") == 0


def test_one_origin_tries_one_password_on_everybody_and_waits(users: Database) -> None:
    answers = [tried(users, each / 100, "Spring-2026!", name=f"user{each}") for each in range(40)]
    assert answers == [-1] * 31 + [1] * 9
    assert tried(users, 10 * 3_600, PASSWORD) == 0


def test_who_does_not_exist_waits_just_as_long(users: Database) -> None:
    moments = [0, 0, 0, 0, 0, 0, 0, 1, 1, 3, 3.5, 7]
    known = [tried(users, at) for at in moments]
    unknown = [tried(users, at, name="nobody-here", origin="192.0.2.9") for at in moments]
    assert known == unknown


def test_the_waits_do_not_grow_by_being_refused(users: Database) -> None:
    for at in range(6):
        tried(users, at)
    assert {tried(users, 5.5) for _ in range(50)} == {1}
    assert tried(users, 6, PASSWORD) == 0


def test_a_given_password_ends_every_wait(users: Database) -> None:
    while tried(users, 0) < 0:
        pass
    hashed = hash_password("another lamp 9")
    users.run(lambda c: give_password(c, "wang", hashed, must_change=True, actor=ACTOR, editor=None, now_us=T0_US))
    assert tried(users, 0, "another lamp 9") == 0


def test_a_clock_that_is_set_back_shuts_nobody_out(users: Database) -> None:
    for _ in range(6):
        tried(users, DAY_S)
    assert tried(users, 0, PASSWORD) == 0


def test_many_at_once_get_no_further_than_one_after_the_other(users: Database) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: tried(users, 0), range(12)))
    assert sorted(answers) == [-1] * 6 + [1] * 6


def test_a_name_that_is_a_password_is_written_nowhere(users: Database) -> None:
    typed = "hunter2-by-mistake"
    assert tried(users, 0, name=typed) == -1
    rows = users.run(lambda c: [str(row) for table in (login_attempt, audit) for row in c.execute(select(table))])
    assert rows
    assert not [row for row in rows if "hunter2" in row or "wrong" in row]


def test_the_audit_tells_what_came_of_each(users: Database) -> None:
    tried(users, 1)
    tried(users, 2, PASSWORD)
    tried(users, 3, name="nobody-here")
    told = [(entry.what, entry.by, entry.object, entry.origin) for entry in users.read(list_audit)[:3]]
    assert told == [
        ("login-failed", "nobody", "", "192.0.2.1"),
        ("login", "wang", "wang", "192.0.2.1"),
        ("login-failed", "nobody", "wang", "192.0.2.1"),
    ]


def test_the_table_of_attempts_stays_small(users: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "MAX_ATTEMPTS", 20)
    for each in range(30):
        tried(users, each, name=f"user{each}", origin=f"192.0.2.{each}")
        tried(users, each, PASSWORD, origin=f"198.51.100.{each % 4}")
    count = select(func.count()).select_from(login_attempt)
    assert users.run(lambda c: c.execute(count.where(login_attempt.c.succeeded)).scalar_one()) == 4
    assert users.run(lambda c: c.execute(count).scalar_one()) <= 24
    tried(users, 2 * DAY_S, origin="192.0.2.99")
    assert users.run(lambda c: c.execute(count).scalar_one()) == 5
    tried(users, 40 * DAY_S, origin="192.0.2.99")
    assert users.run(lambda c: c.execute(count).scalar_one()) == 1
