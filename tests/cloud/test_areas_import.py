from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import insert, select, update

from cloud.areas import store
from cloud.areas.duty import find_contacts, on_duty
from cloud.areas.exporting import Format, export
from cloud.areas.faults import Faults, ImportRefusedError
from cloud.areas.handovers import HANDED_OVER, hand_over
from cloud.areas.importing import Options, bring_in, read_rows
from cloud.areas.places import find_places
from cloud.areas.policies import find_policies
from cloud.areas.showing import list_areas, show_area
from cloud.areas.soundness import Registry, weaknesses
from cloud.areas.store import IMPORTED
from cloud.areas.tree import NOWHERE, Place
from cloud.database import Database
from cloud.database.area_tables import area, duty, handover, registered_device, site
from cloud.database.people_tables import audit, user
from cloud.database.tables import gateway, occurrence
from cloud.desk.changes import GATEWAY, Changed, What
from cloud.desk.core import Arrival, opened
from cloud.desk.keeping import keep
from cloud.errors import HandoverError, UnknownPlaceError
from contract.alarms import AlarmEvent, Severity, Transition
from tests.cloud.area_rig import (
    AREAS,
    AT_US,
    CHANNELS,
    CITY,
    CONTACTS,
    DUTIES,
    GATEWAYS,
    WANG,
    collection,
    counts,
    feature,
    import_,
    point,
    policy_fault,
    polygon,
    sources,
    told,
)
from tests.cloud.rig import count_of, rows_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_US = 3_600_000_000
SQUARE = ((120.0, 31.0), (120.1, 31.0), (120.1, 31.1), (120.0, 31.0))


@pytest.fixture
def city(desk_database: Database) -> Database:
    import_(desk_database, CITY)
    return desk_database


def refusal(database: Database, files: dict[str, Any], **options: Any) -> list[str]:
    before = {table.name: rows_of(database, table) for table in (area, duty, site, registered_device)}
    with pytest.raises(ImportRefusedError) as caught:
        import_(database, files, **options)
    assert {table.name: rows_of(database, table) for table in (area, duty, site, registered_device)} == before
    return told(caught.value)


def alarm_at(database: Database, name: str, device: str, place: Place = NOWHERE) -> None:
    event = AlarmEvent(name, device, "button_1", "panic", Transition.RAISED, AT_US, AT_US, "panic", Severity.CRITICAL)
    alarm = opened(Arrival(event, AT_US, AT_US, late=False), cleared_at_us=None)
    placed = msgspec.structs.replace(alarm, site=place.site, area=place.area, area_path=place.area_path)
    database.run(lambda connection: keep(connection, [Changed(None, placed, What.RAISED, GATEWAY, AT_US)]))


def test_a_city_comes_in_and_everything_is_found_where_it_stands(city: Database) -> None:
    def look(connection: Any) -> None:
        path = "32/3205/320506/cell-1/"
        keys = [("school-17", "gate-buttons"), ("school-17", "anything"), ("stranger", "x")]
        places = find_places(connection, keys)
        assert list(places.values()) == [Place("school", "cell-1", path)] * 2 + [NOWHERE]
        found = find_policies(connection, [(path, Severity.CRITICAL), (path, Severity.LOW), ("", Severity.CRITICAL)])
        ((key, policy),) = found.items()
        assert (key, policy.area, policy.policy["target_s"]) == ((path, Severity.CRITICAL), "320506", 180)
        people = on_duty(connection, ["cell-1", "320506", "3205"], AT_US, SHANGHAI)
        assert {one: [who.id for who in found] for one, found in people.items()} == {
            "cell-1": ["wang", "li"],
            "320506": ["li"],
            "3205": [],
        }
        assert [one.channel for one in people["cell-1"][0].addresses] == ["sms", "mail"]
        before = on_duty(connection, ["cell-1"], AT_US - 1, SHANGHAI)
        assert before == {"cell-1": []}

    city.read(look)
    (row,) = rows_of(city, audit)
    assert (row["by"], row["what"], row["details"]["areas"]["added"]) == ("王芳", IMPORTED, 5)


def test_the_same_again_changes_nothing_and_says_nothing(city: Database) -> None:
    merged = import_(city, CITY, replace=True)
    assert {name: (found[0], found[1], found[2]) for name, found in counts(merged).items()} == dict.fromkeys(
        counts(merged), (0, 0, 0)
    )
    assert count_of(city, audit) == 1


def test_who_moves_takes_everything_within_along(city: Database) -> None:
    import_(city, {"areas.csv": "id,parent,level,name\n320507,3205,county,相城区\n320506,32,county,吴中区\n"})
    assert {row["id"]: row["path"] for row in rows_of(city, area)} == {
        "32": "32/",
        "3205": "32/3205/",
        "320506": "32/320506/",
        "320507": "32/3205/320507/",
        "cell-1": "32/320506/cell-1/",
        "cell-2": "32/320506/cell-2/",
    }


def test_a_dry_run_says_what_would_change_and_changes_nothing(desk_database: Database) -> None:
    merged = import_(desk_database, CITY, dry_run=True)
    assert counts(merged)["areas"] == (5, 0, 0, 0)
    assert (count_of(desk_database, area), count_of(desk_database, audit)) == (0, 0)


def test_what_does_not_fit_is_refused_whole(city: Database) -> None:
    files = {"areas.csv": "id,parent,level,name\na,nowhere,grid,x\n", "sites.csv": "id,area,name\nnew,cell-2,新\n"}
    assert refusal(city, files) == ["areas.csv:2: there is no area nowhere"]
    bad_cell = {"areas.csv": AREAS, "sites.csv": "id,area,name\nnew,cell-2,\n"}
    assert refusal(city, bad_cell) == ["sites.csv:2: name: is empty"]


def test_replace_removes_a_whole_city_from_the_leaves_up(city: Database) -> None:
    headings = {name: text.splitlines()[0] + "\n" for name, text in CITY.items()} | {"policies.toml": ""}
    merged = import_(city, headings | {"areas.csv": "id,level,name\n1,province,新\n"}, replace=True)
    assert {name: found[2] for name, found in counts(merged).items()} == {
        "areas": 5, "contacts": 2, "duties": 3, "policies": 1, "sites": 1, "gateways": 1, "devices": 1,
    }  # fmt: skip
    assert [row["id"] for row in rows_of(city, area)] == ["1"]


def test_replace_keeps_what_is_in_use_and_what_that_needs_and_says_so(city: Database) -> None:
    alarm_at(city, "school-17", "gate-buttons", Place("school", "cell-1", "32/3205/320506/cell-1/"))
    made = {"display": "", "password": "", "role": "viewer", "language": "zh", "disabled": False, "must_change": False}
    with city.transaction() as connection:
        connection.execute(insert(user).values(made | {"name": "boss", "area": "cell-2", "created_us": 0}))
    take_over = partial(hand_over, area_id="320506", contact_id="wang", from_us=AT_US, why="leave", actor=WANG)
    city.run(partial(take_over, until_us=AT_US + HOUR_US, at_us=AT_US))
    headings = {name: text.splitlines()[0] + "\n" for name, text in CITY.items()} | {"policies.toml": ""}
    merged = import_(city, headings | {"areas.csv": "id,level,name\n1,province,新\n"}, replace=True)
    kept = {f"{one.sheet} {'/'.join(one.key)}": one.why.text.format(**one.why.values) for one in merged.kept}
    assert kept == {
        "areas 32": "area 3205 refers to it",
        "areas 3205": "area 320506 refers to it",
        "areas 320506": "a hand-over is not over",
        "areas cell-1": "an alarm is open there",
        "areas cell-2": "user boss belongs to it",
        "contacts wang": "a hand-over is not over",
        "devices school-17/gate-buttons": "an alarm is open there",
        "gateways school-17": "an alarm is open there",
        "sites school": "an alarm is open there",
    }
    assert count_of(city, duty) == 0
    with city.transaction() as connection:
        connection.execute(update(occurrence).values(closed_at_us=AT_US))
    merged = import_(
        city, headings | {"areas.csv": "id,level,name\n1,province,新\n"}, replace=True, at_us=AT_US + HOUR_US
    )
    assert {one.key for one in merged.kept} == {("cell-2",), ("320506",), ("3205",), ("32",)}
    assert count_of(city, handover) == 0
    assert city.read(lambda connection: find_contacts(connection, ["wang"])) == {}


def test_an_import_that_came_between_is_seen(city: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison was made on what stood; the contact that it relies on goes before it is written."""
    faults = Faults()
    incoming = read_rows(sources({"duties.csv": DUTIES}), policy_fault, faults, lambda *_: None)
    options = Options(policy_fault, channels=CHANNELS)
    plain_lock = store.lock

    def lock(connection: Any) -> None:
        plain_lock(connection)
        monkeypatch.setattr(store, "lock", plain_lock)
        connection.execute(duty.delete())
        row = {"at_us": 0, "by": "", "origin": "", "what": IMPORTED, "object": "", "details": {}}
        connection.execute(insert(audit).values(row))

    monkeypatch.setattr(store, "lock", lock)
    merged = bring_in(
        city, incoming, faults, options=options, actor=WANG, at_us=AT_US, on_progress=lambda *_: None
    )  # fmt: skip
    assert counts(merged) == {"duties": (3, 0, 0, 0)}
    assert count_of(city, duty) == 3


@pytest.mark.parametrize("form", Format)
def test_what_is_exported_can_be_imported_again(city: Database, form: Format) -> None:
    outlined = feature(polygon(*SQUARE), what="area", id="cell-3", parent="320506", level="grid", name="第三网格")
    placed = feature(point(120.62, 31.25), what="site", id="tower", area="cell-3", name="三号塔", kind="tower")
    import_(city, {"map.geojson": collection(outlined, placed)})
    files = city.read(lambda connection: export(connection, form))
    merged = import_(city, files, replace=True)
    assert {name: found[:3] for name, found in counts(merged).items()} == dict.fromkeys(counts(merged), (0, 0, 0))
    assert merged.kept_count == 0
    assert b"".join(city.read(lambda connection: export(connection, form)).values()) == b"".join(files.values())
    if form is Format.GEOJSON:
        assert [row["outline"]["type"] for row in rows_of(city, area) if row["outline"]] == ["Polygon"]


def test_a_hand_over_takes_the_place_of_the_roster_and_stands_in_the_audit(city: Database) -> None:
    order = partial(hand_over, area_id="cell-1", contact_id="li", why="王芳病假", actor=WANG, at_us=AT_US)
    made = city.run(partial(order, from_us=AT_US, until_us=AT_US + HOUR_US))
    assert (made.contact, made.until_us) == ("li", AT_US + HOUR_US)

    def people(at_us: int) -> list[str]:
        found = city.read(lambda connection: on_duty(connection, ["cell-1"], at_us, SHANGHAI))
        return [one.id for one in found["cell-1"]]

    assert [people(AT_US + step) for step in (-1, 0, HOUR_US - 1, HOUR_US)] == [[], ["li"], ["li"], ["wang", "li"]]
    row = rows_of(city, audit)[-1]
    assert (row["by"], row["what"], row["object"]) == ("王芳", HANDED_OVER, "cell-1")
    assert row["details"]["why"] == "王芳病假"


def test_a_hand_over_that_cannot_be_is_refused(city: Database) -> None:
    order: dict[str, Any] = {"area_id": "cell-1", "contact_id": "li", "from_us": AT_US, "until_us": AT_US + HOUR_US}
    cases: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"area_id": "nowhere"}, UnknownPlaceError),
        ({"contact_id": "nobody"}, UnknownPlaceError),
        ({"until_us": AT_US}, HandoverError),
        ({"from_us": AT_US + HOUR_US}, HandoverError),
        ({"until_us": AT_US + 91 * 24 * HOUR_US}, HandoverError),
        ({"why": " "}, HandoverError),
        ({"why": "x" * 501}, HandoverError),
    ]
    for changed, error in cases:
        with pytest.raises(error):
            city.run(partial(hand_over, **({"why": "leave"} | order | changed), actor=WANG, at_us=AT_US))
    assert count_of(city, handover) == 0


def test_the_tree_is_listed_with_what_it_holds(city: Database) -> None:
    lines = city.read(lambda connection: list_areas(connection, None))
    assert [(line.depth, line.area.id) for line in lines] == [
        (0, "32"), (1, "3205"), (2, "320506"), (3, "cell-1"), (3, "cell-2"),
    ]  # fmt: skip
    (cell,) = city.read(lambda connection: list_areas(connection, "cell-1"))
    assert (cell.depth, cell.sites, cell.gateways, cell.contacts) == (0, 1, 1, 1)
    near = city.read(lambda connection: list_areas(connection, "3205", depth=1))
    assert [line.area.id for line in near] == ["3205", "320506"]
    with pytest.raises(UnknownPlaceError, match="nowhere"):
        city.read(lambda connection: list_areas(connection, "nowhere"))


def test_an_area_is_shown_with_all_that_counts_there(city: Database) -> None:
    view = city.read(lambda connection: show_area(connection, "cell-1", at_us=AT_US, zone=SHANGHAI))
    assert [one.id for one in view.above] == ["32", "3205", "320506", "cell-1"]
    assert [(one.id, [who.id for who in people]) for one, people in view.duty] == [
        ("cell-1", ["wang", "li"]), ("320506", ["li"]), ("3205", []), ("32", []),
    ]  # fmt: skip
    assert {severity: found.area for severity, found in view.policies.items()} == {Severity.CRITICAL: "320506"}
    county = city.read(lambda connection: show_area(connection, "320506", at_us=AT_US, zone=SHANGHAI))
    assert (county.within, county.sites, [one.id for one in county.contacts]) == (2, 1, ["li"])


def test_what_is_weak_is_found(city: Database) -> None:
    def look(channels: frozenset[str], gateways: list[str] | None) -> list[str]:
        against = Registry(channels, gateways, policy_fault, SHANGHAI)
        found = city.read(lambda connection: weaknesses(connection, against, at_us=AT_US))
        return [f"{one.subject}: {one.bad.text.format(**one.bad.values)} {one.span_us or ''}".strip() for one in found]

    assert look(CHANNELS, None) == []
    import_(city, {"areas.csv": "id,level,name\nx,province,浙江省\n", "contacts.csv": "id,area,name\nmute,x,哑\n",
                   "sites.csv": "id,area,name\nlonely,x,孤塔\n"})  # fmt: skip
    import_(city, {"duties.csv": "area,contact,begins,ends\n320506,li,09:00,08:00\n"})
    seen = {"boot": "b", "version": "1", "site": "", "name": "", "online": True, "since_us": 0, "reason": "",
            "inventory": []}  # fmt: skip
    with city.transaction() as connection:
        connection.execute(insert(gateway).values(seen | {"id": "stranger"}))
    first = (AT_US, AT_US + HOUR_US)
    assert look(frozenset({"sms"}), ["tower"]) == [
        f"area 320506: nobody is on duty there or above, 7 time(s) in the week to come; first {first}",
        "area x: has 1 site(s), and no roster there or above",
        "contact mute: has no address",
        "contact wang: has an address of channel mail, which the settings do not know",
        "gateway school-17: stands in the registry, and the settings refuse it",
        "gateway stranger: has been heard, and the registry does not know where it stands",
        "gateway tower: stands in the settings, and the registry does not know where",
    ]


def test_a_thousand_gateways_are_placed_at_once(city: Database) -> None:
    rows = "".join(f"g{number},school,x\n" for number in range(1100))
    import_(city, {"gateways.csv": GATEWAYS.splitlines()[0] + "\n" + rows})
    places = city.read(lambda connection: find_places(connection, [(f"g{n}", "d") for n in range(1100)]))
    assert {place.site for place in places.values()} == {"school"}
    assert len(places) == 1100


def test_contacts_may_be_many(city: Database) -> None:
    rows = "".join(f"p{number},cell-1,x,\n" for number in range(1100))
    import_(city, {"contacts.csv": CONTACTS.splitlines()[0] + "\n" + rows})
    found = city.read(lambda connection: find_contacts(connection, [f"p{number}" for number in range(1200)]))
    assert len(found) == 1100
    with city.transaction() as connection:
        assert connection.scalar(select(area.c.name).where(area.c.id == "cell-1")) == "第一网格"
