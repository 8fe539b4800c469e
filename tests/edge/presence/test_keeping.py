"""What outlives a restart: on the disk before an order is answered; a disk that fails, a file that is damaged."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from anyio import from_thread
from msgspec.structs import replace

from contract.tags import Arm, Disarm, parts_of
from device_profiles.site import Gateway, PresenceSettings, Site, SiteFile
from device_profiles.speech.said import Sighting
from edge.errors import StolenListError, StoreFullError
from edge.presence import Changes, Found, Kept, Presence, TagKeeper, keeping, make_presence, make_tags
from edge.presence.arming import Armed
from edge.presence.file import TagFile
from tests.edge.outbox_rig import Machine
from tests.edge.presence.rig import BIKE, OWNER, reader

STOLEN = {BIKE: "case 7", OWNER: ""}


def make_site(folder: Path, *, speaks: bool = True) -> Site:
    placed = reader("south")
    if not speaks:
        placed = replace(placed, profile=replace(placed.profile, speaks=None))
    file = SiteFile(Gateway("g", "school"), (), (placed.device,), presence=PresenceSettings())
    return Site(folder / "site.toml", file, {"bus": (placed,)})


def tags_of(folder: Path, found: list[Found]) -> TagKeeper:
    tags = make_tags(make_site(folder), clock=Machine().clock(), take=found.append, now=0.0)
    assert tags is not None
    return tags


def presence_of(folder: Path) -> Presence:
    presence = make_presence(make_site(folder), now=0.0)
    assert presence is not None
    return presence


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        with anyio.fail_after(20):
            await story()

    anyio.run(limited)


def test_orders_are_on_the_disk_before_they_are_answered(tmp_path: Path) -> None:
    async def story() -> None:
        tags = tags_of(tmp_path, [])
        assert await tags.order(Arm((BIKE, OWNER))) == 2
        assert await tags.order(Disarm((OWNER,))) == 1
        (part,) = parts_of(STOLEN, version=7)
        assert await tags.order(part) == 7

    play(story)
    kept = TagFile(tmp_path / "outbox.db.tags").load()
    assert set(kept.armed) == {BIKE}
    assert (kept.version, kept.stolen) == (7, STOLEN)


def test_an_order_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(StolenListError):
            await tags_of(tmp_path, []).order(replace(parts_of(STOLEN, version=7)[0], checksum="0" * 32))

    play(story)
    assert list(tmp_path.iterdir()) == [], "no file without need"


def test_what_an_order_brings_about_is_handed_on(tmp_path: Path) -> None:
    TagFile(tmp_path / "outbox.db.tags").put(Changes({BIKE: Armed("command-1", alarm="south")}, None))
    found: list[Found] = []

    async def story() -> None:
        await tags_of(tmp_path, found).order(Disarm((BIKE,)))

    play(story)
    ((device, report),) = found[0].reports
    assert (device, report.rule, report.is_on) == ("south", "theft", False)


class WatchedFile(TagFile):
    """A file that says when something was put."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.was_put = anyio.Event()

    def put(self, changes: Changes) -> None:
        super().put(changes)
        from_thread.run_sync(self.was_put.set)


def test_what_changes_by_itself_is_kept_soon_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "KEEP_S", 0.01)

    async def story() -> None:
        file = WatchedFile(tmp_path / "tags")
        presence = presence_of(tmp_path)
        tags = TagKeeper(presence, file, clock=Machine().clock(), take=lambda _found: None)
        presence.order(Arm((BIKE,)), 0.0, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tags.run)
            await file.was_put.wait()
            tasks.cancel_scope.cancel()

    play(story)
    assert set(TagFile(tmp_path / "tags").load().armed) == {BIKE}


def test_a_disk_that_takes_nothing_is_said_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db.tags"
    path.mkdir()

    async def story() -> None:
        presence = presence_of(tmp_path)
        tags = TagKeeper(presence, TagFile(path), clock=Machine().clock(), take=lambda _found: None)
        with pytest.raises(StoreFullError, match="cannot be written"):
            await tags.order(Arm((BIKE,)))
        path.rmdir()
        await tags.order(Disarm(("another",)))

    play(story)
    assert set(TagFile(path).load().armed) == {BIKE}


@pytest.mark.parametrize(
    "damage", [b"no database at all, but longer than its header" * 9, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "outbox.db.tags"
    path.write_bytes(damage)
    file = TagFile(path)
    assert file.load() == Kept()
    file.put(Changes({BIKE: Armed("command-1")}, None))
    assert set(file.load().armed) == {BIKE}
    assert (tmp_path / "outbox.db.tags.damaged").read_bytes() == damage


def test_rows_that_cannot_be_read_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db.tags"
    file = TagFile(path)
    file.put(Changes({BIKE: Armed("command-1")}, (7, STOLEN)))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO armed VALUES ('broken', x'00'), ('text', 'text')")
        connection.execute("DELETE FROM stolen WHERE tag = ?", (OWNER,))
    connection.close()
    kept = file.load()
    assert set(kept.armed) == {BIKE}
    assert (kept.version, kept.stolen) == (0, {BIKE: "case 7"}), "any list is newer than one that has lost an entry"


def test_what_was_counted_is_a_reading_of_the_gateway(tmp_path: Path) -> None:
    heard = anyio.Event()
    found: list[Found] = []

    def take(one: Found) -> None:
        found.append(one)
        heard.set()

    async def story() -> None:
        tags = TagKeeper(
            presence_of(tmp_path), TagFile(tmp_path / "tags"), clock=Machine().clock(), take=take, health_s=0.01
        )
        tags.presence.order(Arm((BIKE,)), 0.0, 1)
        tags.presence.seen("south", Sighting(tag=BIKE), 0.0, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tags.run)
            await heard.wait()
            tasks.cancel_scope.cancel()

    play(story)
    (sample,) = found[0].samples
    values = {point.key: point.value for point in sample.points}
    assert (sample.device, values["tags.sightings"], values["tags.followed"], values["tags.armed"]) == (
        "gateway",
        1,
        1,
        1,
    )
    page = (Path(__file__).parents[3] / "docs" / "site-file.md").read_text("utf-8")
    assert [key for key in values if f"`{key}`" not in page] == []


def test_a_site_where_nobody_speaks_by_itself_has_no_presence(tmp_path: Path) -> None:
    site = make_site(tmp_path, speaks=False)
    assert make_presence(site, now=0.0) is None
    assert make_tags(site, clock=Machine().clock(), take=lambda _found: None, now=0.0) is None
