"""The stolen list on both databases: versions that can be made again, and a fleet that gets it through every loss."""

import random
import threading
from functools import partial

import pytest
from sqlalchemy import Connection, insert, select

from cloud.areas.faults import ImportRefusedError
from cloud.database import Database
from cloud.database.area_tables import area, registered_gateway, site
from cloud.database.order_tables import stolen_change, stolen_version
from cloud.errors import BadStolenError, StolenFullError
from cloud.orders import stolen
from cloud.orders.stolen import (
    StolenEntry,
    add_stolen,
    confirmed,
    content_of,
    gateways_of,
    list_stolen,
    newest_version,
    take_off,
)
from cloud.orders.stolen_files import read_stolen, write_stolen
from cloud.people.audit import list_audit
from contract.commands import Command, Outcome, Result
from contract.limits import MAX_NOTE_CHARS, MAX_PART_TAGS, MAX_STOLEN
from contract.reasons import HEARS_NO_TAGS
from contract.tags import StolenPart, checksum_of, parts_of
from tests.cloud.order_rig import SECOND_US, T0_US, Site, Wire

AT_S = T0_US // SECOND_US


def entries(*tags: str, note: str = "") -> list[StolenEntry]:
    return [StolenEntry(tag, note) for tag in tags]


def add(wire: Wire, *tags: str, note: str = "") -> int:
    return wire.database.run(partial(add_stolen, entries=entries(*tags, note=note), by="王芳", now_us=wire.now_us))


def remove(wire: Wire, *tags: str) -> int:
    return wire.database.run(partial(take_off, tags=tags, by="王芳", now_us=wire.now_us))


@pytest.fixture
def wire(desk_database: Database) -> Wire:
    return Wire(desk_database)


def test_a_change_makes_one_version_and_none_makes_none(wire: Wire) -> None:
    assert wire.database.read(newest_version) is None
    assert add(wire, "ccb97e7361a4", "T2") == AT_S
    assert add(wire, "T2") == AT_S
    assert add(wire, "T2", note="case 7") == AT_S + 1
    assert remove(wire, "T2", "T9") == AT_S + 2
    assert remove(wire, "T9") == AT_S + 2
    newest = wire.database.read(newest_version)
    assert newest is not None
    assert (newest.checksum, newest.entries) == (checksum_of({"CCB97E7361A4": ""}), 1)
    found = wire.database.read(list_audit)
    assert [(one.what, one.object, one.by) for one in found] == [
        ("stolen-removed", "T2", "王芳"), ("stolen-added", "T2", "王芳"), ("stolen-added", "stolen list", "王芳")
    ]  # fmt: skip
    assert found[2].details["tags"] == ["CCB97E7361A4", "T2"]


def test_every_version_that_is_kept_can_be_made_again(wire: Wire) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    tags = [f"T{number}" for number in range(12)]
    made: dict[int, dict[str, str]] = {}
    for _ in range(25):
        some = chance.sample(tags, 3)
        if chance.random() < 0.6:
            add(wire, *some, note=chance.choice(["", "case 1", "case 2"]))
        else:
            remove(wire, *some)
        newest = wire.database.read(newest_version)
        if newest is not None:
            made[newest.version] = {one.tag: one.note for one in wire.database.read(list_stolen)}
            assert newest.checksum == checksum_of(made[newest.version])
    for version, content in made.items():
        assert wire.database.read(partial(content_of, version=version)) == content


def test_case_and_note_reach_the_gateways_as_one_line(wire: Wire) -> None:
    one = StolenEntry("T1", "红色\n 电动车 " + "x" * 600, "A-2026-17", since_us=5)
    version = wire.database.run(partial(add_stolen, entries=[one], by="b", now_us=wire.now_us))
    text = wire.database.read(partial(content_of, version=version))["T1"]
    assert text.startswith("A-2026-17 红色 电动车 xxx")
    assert len(text) == MAX_NOTE_CHARS
    (listed,) = wire.database.read(list_stolen)
    assert (len(listed.note), listed.since_us) == (500, 5)


@pytest.mark.parametrize("bad", [StolenEntry("no tag"), StolenEntry("A" * 61), StolenEntry("T1", case="c" * 65)])
def test_what_is_no_entry_changes_nothing(wire: Wire, bad: StolenEntry) -> None:
    with pytest.raises(BadStolenError):
        wire.run(partial(add_stolen, entries=[StolenEntry("T1"), bad], by="b", now_us=wire.now_us))
    assert wire.database.read(list_stolen) == []


def test_a_list_that_gateways_would_not_take_is_refused(wire: Wire) -> None:
    add(wire, *(f"T{number}" for number in range(MAX_STOLEN)))
    with pytest.raises(StolenFullError, match="20001 stolen tags are too many: at most 20000"):
        add(wire, "ONE-MORE")
    newest = wire.database.read(newest_version)
    assert newest is not None
    assert newest.entries == MAX_STOLEN


def test_two_who_change_it_at_once_make_two_versions_of_the_whole(wire: Wire) -> None:
    begin = threading.Barrier(4)

    def work(number: int) -> None:
        begin.wait()
        add(wire, f"T{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    newest = wire.database.read(newest_version)
    assert newest is not None
    assert newest.checksum == checksum_of({f"T{number}": "" for number in range(4)})
    assert newest.version == AT_S + 3


def test_old_versions_go_and_who_has_one_gets_the_whole(wire: Wire) -> None:
    wire.gateway("g1")
    site_ = Site("g1")
    wire.note_targets()
    add(wire, "T1")
    settle(wire, [site_])
    wire.wait(91 * 86_400)
    add(wire, "T2")
    wire.run(partial(stolen.prune, keep_days=90, now_us=wire.now_us))
    count = wire.database.run(lambda connection: len(connection.execute(select(stolen_version)).all()))
    assert count == 1
    (command,) = wire.push()
    assert isinstance(command.order, StolenPart)
    assert command.order.base is None
    assert wire.database.run(lambda connection: len(connection.execute(select(stolen_change)).all())) == 1


def settle(wire: Wire, sites: list[Site], *, rounds: int = 60) -> None:
    """Let everything arrive until nothing is sent any more."""
    by_name = {one.name: one for one in sites}
    for _ in range(rounds):
        sent = wire.push()
        wire.hear(*(by_name[one.gateway].take(one, wire.now_us) for one in sent))
        if not sent:
            return
    raise AssertionError("it does not come to rest")


def test_a_fleet_gets_the_list_through_losses_repeats_restarts_and_dying_workers(wire: Wire) -> None:
    chance, bound = random.Random(11), 5  # noqa: S311 - no secret
    wire.with_settings(stolen_in_flight=bound)
    sites = {f"g{number}": Site(f"g{number}") for number in range(12)}
    for name in sites:
        wire.gateway(name)
    wire.note_targets()
    add(wire, *(f"T{number}" for number in range(2 * MAX_PART_TAGS)))
    births, waiting = 1, list[Command]()
    for step in range(120):
        if step in (30, 60):
            add(wire, f"NEW-{step}")
        if chance.random() < 0.2:
            births += 1
            name = chance.choice(list(sites))
            old = sites[name]
            forgets = chance.random() < 0.2
            sites[name] = Site(name) if forgets else Site(name, type(old.stolen)(old.stolen.version, old.stolen.notes))
            wire.gateway(name, since_us=births)
        sent = wire.push(step % 2)
        assert len(sent) <= 2 * bound
        # A worker that dies after its commit publishes nothing.
        waiting += [] if chance.random() < 0.1 else sent
        chance.shuffle(waiting)
        answers = [sites[one.gateway].take(one, wire.now_us) for one in waiting[:4] if one.expires_at_us > wire.now_us]
        waiting = waiting[4:] if chance.random() < 0.8 else waiting
        wire.hear(*(one for one in answers if chance.random() < 0.8))
        wire.wait(chance.choice([0, 1, 20]))
    for _ in range(40):
        wire.wait(400)
        settle(wire, list(sites.values()))
    found = wire.database.read(confirmed)
    assert (found.gateways, found.missing) == (frozenset(sites), frozenset())
    content = wire.database.read(partial(content_of, version=found.version))
    assert all(one.stolen.notes == content for one in sites.values())


def test_no_more_parts_than_the_bound_are_under_way(wire: Wire) -> None:
    wire.with_settings(stolen_in_flight=3)
    for number in range(8):
        wire.gateway(f"g{number}")
    wire.note_targets()
    add(wire, "T1")
    first = wire.push()
    assert len(first) == 3
    assert wire.push(1) == []
    wire.hear(Site(first[0].gateway).take(first[0], wire.now_us))
    assert len(wire.push(1)) == 1
    # One that is gone holds no place of others.
    wire.gateway(first[1].gateway, online=False)
    assert len(wire.push()) == 1


def test_who_is_away_gets_it_when_it_comes_back_and_is_shown_until_then(wire: Wire) -> None:
    wire.gateway("g1", online=False)
    wire.gateway("g2")
    wire.note_targets()
    add(wire, "T1")
    sites = [Site("g1"), Site("g2")]
    settle(wire, sites)
    assert [one.state for one in wire.database.read(gateways_of)] == ["offline", "confirmed"]
    assert wire.database.read(confirmed).missing == {"g1"}
    wire.gateway("g1", since_us=2)
    settle(wire, sites)
    assert wire.database.read(confirmed).gateways == {"g1", "g2"}


def test_who_hears_no_tags_is_marked_and_not_missed(wire: Wire) -> None:
    wire.gateway("g1")
    wire.note_targets()
    add(wire, "T1")
    (command,) = wire.push()
    wire.hear(Result(command.id, "g1", Outcome.REFUSED, wire.now_us, f"{HEARS_NO_TAGS}. See the site file."))
    add(wire, "T2")
    wire.wait(1_000_000)
    assert wire.push() == []
    assert [one.state for one in wire.database.read(gateways_of)] == ["deaf"]
    assert wire.database.read(confirmed).missing == frozenset()
    wire.gateway("g1", since_us=2)
    assert len(wire.push()) == 1


def test_a_push_by_hand_is_overtaken_at_the_next_birth(wire: Wire) -> None:
    wire.gateway("g1")
    wire.note_targets()
    by_hand = Site("g1")
    add(wire, "T1")
    settle(wire, [by_hand])
    for part in parts_of({"X": ""}, version=AT_S + 10_000):
        by_hand.stolen.take(part)
    wire.gateway("g1", since_us=2)
    settle(wire, [by_hand])
    assert by_hand.stolen.notes == {"T1": ""}
    # The list's own version is lower than what the gateway has: the next one follows all the same.
    add(wire, "T2")
    settle(wire, [by_hand])
    assert by_hand.stolen.notes == {"T1": "", "T2": ""}
    assert wire.database.read(confirmed).gateways == {"g1"}


def test_a_fleet_of_an_area_or_of_names_only(wire: Wire) -> None:
    def lay_out(connection: Connection) -> None:
        for name, parent, path in (("city", None, "city/"), ("east", "city", "city/east/"), ("w", "city", "city/w/")):
            connection.execute(insert(area).values(id=name, parent=parent, level="grid", name=name, path=path))
        for name, of in (("in-east", "east"), ("in-west", "w")):
            connection.execute(insert(site).values(id=name, area=of, name=name, kind="", address=""))
            connection.execute(insert(registered_gateway).values(id=name, site=name, name=name, address=""))

    wire.run(lay_out)
    for name in ("in-east", "in-west", "nowhere", "other"):
        wire.gateway(name)
    wire.note_targets()
    assert len(wire.database.read(gateways_of)) == 4
    wire.with_settings(stolen_to=("east", "nowhere"))
    wire.note_targets()
    assert [one.gateway for one in wire.database.read(gateways_of)] == ["in-east", "nowhere"]
    wire.note_targets(frozenset({"nowhere", "never-born"}))
    assert [one.gateway for one in wire.database.read(gateways_of)] == ["nowhere"]


def test_a_file_comes_in_with_every_fault_by_its_line_and_out_as_it_was() -> None:
    text = 'tag,case,note\nccb97e7361a4,A-1,"红色, 电动车"\n\nT2,,\nT2,,again\n'
    read = read_stolen(text.encode("gb18030"), "stolen.csv")
    assert read == [StolenEntry("ccb97e7361a4", "红色, 电动车", "A-1"), StolenEntry("T2", "again")]
    listed = [stolen.Listed(one.tag.upper(), one.note, one.case, T0_US, "b") for one in read]
    assert [(one.note, one.since_us) for one in read_stolen(write_stolen(listed).encode(), "f")] == [
        ("红色, 电动车", T0_US), ("again", T0_US)
    ]  # fmt: skip
    with pytest.raises(ImportRefusedError) as error:
        read_stolen(b"T1\nno tag\nT2,n,c,yesterday\nT3,n," + b"c" * 65, "f.csv")
    assert [(fault.where.line) for fault in error.value.faults] == [2, 3, 4]
    many = "".join(f"T{number}\n" for number in range(MAX_STOLEN + 1))
    with pytest.raises(ImportRefusedError, match="20001 stolen tags are too many"):
        read_stolen(many.encode(), "f.csv")
