"""What a whole profile must keep beyond its form: identity, link, blocks and golden captures."""

from collections.abc import Mapping, Sequence
from typing import Any

from contract.ids import is_id
from contract.telemetry import Value
from device_profiles.codec import BlockDecoder
from device_profiles.faults import N_, listed, shown
from device_profiles.frames import BlockRead, FrameError, read_capture
from device_profiles.grammar_checks import check_grammar
from device_profiles.model import (
    AnyPoint,
    BlockDef,
    Capture,
    Carrier,
    HeardDef,
    Language,
    Link,
    PointDef,
    Profile,
    Speaks,
    Table,
)
from device_profiles.point_checks import check_heard, check_points, check_text
from device_profiles.rule_checks import check_rules
from device_profiles.said_checks import check_capture_form, check_said
from device_profiles.toml_file import TomlFile
from device_profiles.topic_checks import check_topics

_CELLS = 0x1_0000


def check_profile(toml: TomlFile, fields: Mapping[str, Any], *, place: str) -> None:
    """Note every fault of a profile.

    Args:
        toml: the file.
        fields: those fields of `Profile` that could be read.
        place: `<maker>/<model>` by the file's place in the catalogue; the id must equal it.
    """
    points: tuple[PointDef, ...] = fields.get("point", ())
    heard: tuple[HeardDef, ...] = fields.get("heard", ())
    _check_identity(toml, fields, place=place)
    _check_way(toml)
    check_points(toml, points)
    check_heard(toml, heard)
    read = frozenset(toml.names("point", "key") | toml.names("heard", "key"))
    all_points: tuple[AnyPoint, ...] = (*points, *heard)
    known = {point.key: point for point in all_points}
    check_rules(toml, fields.get("rule", ()), points=known, also_known=read)
    if speaks := fields.get("speaks"):
        _check_speaks(toml, speaks, heard)
        _check_said(toml, fields, speaks)
        return
    _check_blocks(toml, fields.get("block", ()), points, link=fields.get("link"))
    _check_refused(toml, fields.get("refused", ()), points, fields.get("block", ()))
    if "link" in fields:
        _check_link(toml, fields["link"], points)
    for capture in fields.get("capture", ()):
        check_capture_form(toml, capture, speaks=False)
    if toml.is_clean(("point",)) and "link" in fields:
        for capture in fields.get("capture", ()):
            _check_capture(toml, capture, points, fields["link"])
    if not points and toml.is_clean(("point",)):
        toml.fault(("point",), N_("is empty: a profile has at least one point"))
    if points and "supervision_s" in fields:
        check_supervision(toml, points, fields["supervision_s"])


def _check_way(toml: TomlFile) -> None:
    """It is asked or it speaks by itself, and has only what goes with that."""
    asked, speaks = "link" in toml.data, "speaks" in toml.data
    if asked and speaks:
        toml.fault(("speaks",), N_("a device is asked ([link]) or speaks by itself ([speaks]); never both"))
    elif not asked and not speaks:
        toml.fault(("link",), N_("is missing: a profile has [link] for a device that is asked, or [speaks]"))
    for key in ("point", "block", "refused"):
        if speaks and not asked and key in toml.data:
            toml.fault((key,), N_("belongs to a device that is asked, with [link]"))
    if asked and not speaks and "heard" in toml.data:
        toml.fault(("heard",), N_("belongs to a device that speaks by itself, with [speaks]"))


def _check_speaks(toml: TomlFile, speaks: Speaks, heard: Sequence[HeardDef]) -> None:
    place = toml.place_of(speaks)
    if not speaks.carriers and toml.is_clean((*place, "carriers")):
        toml.fault((*place, "carriers"), N_("is empty; allowed: {allowed}"), allowed=listed(Carrier))
    if len(set(speaks.carriers)) < len(speaks.carriers):
        toml.fault((*place, "carriers"), N_("names one carrier twice"))
    check_grammar(toml, speaks, heard)
    check_topics(toml, speaks, heard)


def _check_said(toml: TomlFile, fields: Mapping[str, Any], speaks: Speaks) -> None:
    """Captures of what the profile itself declares are checked here; other languages bring tests of their own."""
    captures: Sequence[Capture] = fields.get("capture", ())
    for capture in captures:
        check_capture_form(toml, capture, speaks=True)
    if speaks.language in (Language.GRAMMAR, Language.MQTT_JSON) and toml.is_clean(()):
        profile = Profile(**fields)
        for capture in captures:
            check_said(toml, capture, profile)


def check_supervision(toml: TomlFile, points: Sequence[PointDef], supervision_s: float) -> None:
    """Note a supervision time in which a healthy device is not even asked once."""
    shortest = min(point.every_s for point in points)
    if supervision_s <= shortest:
        text = N_("{value} s is not longer than the shortest reading period, {period} s")
        toml.fault(("supervision_s",), text, value=shown(supervision_s), period=shown(shortest))


def _check_identity(toml: TomlFile, fields: Mapping[str, Any], *, place: str) -> None:
    name = fields.get("profile")
    if name is not None and name != place:
        text = N_("{value} is not the file's place; allowed: {allowed}")
        toml.fault(("profile",), text, value=shown(name), allowed=shown(place))
    parts = place.split("/")
    if not all(is_id(part) and part == part.lower() for part in parts):
        text = N_("{value} is no place for a profile: folder and file are ids in small letters")
        toml.fault(("profile",), text, value=shown(place))
    for key in ("version", "maker", "model"):
        if key in fields and not fields[key].strip():
            toml.fault((key,), N_("is empty"))
    if "title" in fields:
        check_text(toml, ("title",), fields["title"])
    if toml.is_clean(("sources",)) and not any(source.strip() for source in fields.get("sources", ())):
        toml.fault(("sources",), N_("is empty: name the documents the profile is taken from"))
    for caveat in fields.get("caveat", ()):
        for key in ("text", "source"):
            if not getattr(caveat, key).strip():
                toml.fault((*toml.place_of(caveat), key), N_("is empty"))


def _check_link(toml: TomlFile, link: Link, points: Sequence[PointDef]) -> None:
    place = toml.place_of(link)
    if not link.transports and toml.is_clean((*place, "transports")):
        toml.fault((*place, "transports"), N_("is empty; allowed: rtu, tcp"))
    if len(set(link.transports)) < len(link.transports):
        toml.fault((*place, "transports"), N_("names one transport twice"))
    longest = max((point.type.words for point in points if not point.table.is_bits), default=1)
    if link.max_words < longest:
        text = N_("{value} is less than the longest point's {words} words")
        toml.fault((*place, "max_words"), text, value=str(link.max_words), words=str(longest))


def _check_blocks(toml: TomlFile, blocks: Sequence[BlockDef], points: Sequence[PointDef], *, link: Link | None) -> None:
    taken: list[BlockDef] = []
    for block in blocks:
        place, end = toml.place_of(block), block.address + block.count
        if end > _CELLS:
            toml.fault(
                (*place, "count"), N_("the block ends at {last}, past the last address 65535"), last=str(end - 1)
            )
        if link is not None:
            most = link.max_bits if block.table.is_bits else link.max_words
            if block.count > most:
                text = N_("{value} is more than the device answers at once, {most}")
                toml.fault((*place, "count"), text, value=str(block.count), most=str(most))
        touched = [point for point in points if _overlap(block, point.table, point.address, point.type.words)]
        if not touched and toml.is_clean(("point",)):
            toml.fault(place, N_("holds no point"))
        for point in touched:
            if not _holds(block.table, block.address, block.count, point):
                toml.fault(place, N_("cuts point {point} apart"), point=shown(point.key))
        for other in taken:
            if _overlap(block, other.table, other.address, other.count):
                line = str(toml.line_of(toml.place_of(other)) or "?")
                toml.fault(place, N_("lies on the block in line {line}"), line=line)
        taken.append(block)


def _check_refused(
    toml: TomlFile, refused: Sequence[BlockDef], points: Sequence[PointDef], blocks: Sequence[BlockDef]
) -> None:
    """A refused stretch lies between the points and outside the blocks: what is refused cannot be read."""
    for hole in refused:
        place = toml.place_of(hole)
        for point in points:
            if _overlap(hole, point.table, point.address, point.type.words):
                toml.fault(place, N_("holds point {point}, which could then never be read"), point=shown(point.key))
        for block in blocks:
            if _overlap(hole, block.table, block.address, block.count):
                line = str(toml.line_of(toml.place_of(block)) or "?")
                toml.fault(place, N_("lies on the block in line {line}"), line=line)


def _check_capture(toml: TomlFile, capture: Capture, points: Sequence[PointDef], link: Link) -> None:
    """The bytes are whole, of a transport the device speaks, and give exactly the readings written beside them."""
    place = toml.place_of(capture)
    if not capture.source.strip():
        toml.fault((*place, "source"), N_("is empty: name the document and page, or device and date"))
    if capture.framing is None:
        toml.fault((*place, "framing"), N_("is missing; allowed: {allowed}"), allowed=listed(link.transports))
        return
    if capture.framing not in link.transports and toml.is_clean((*toml.place_of(link), "transports")):
        text = N_("cannot be {value}; allowed: {allowed}")
        toml.fault((*place, "framing"), text, value=capture.framing.value, allowed=listed(link.transports))
    try:
        block = read_capture(capture)
    except FrameError as error:
        toml.fault((*place, error.part), N_("no captured frame: {why}"), why=str(error))
        return
    given = _readings(block, points)
    if not given and not capture.readings:
        toml.fault((*place, "request"), N_("no point of the profile lies in the block asked for"))
    for key in sorted(given.keys() | capture.readings.keys()):
        where = (*place, "readings", key)
        if key not in given:
            toml.fault(
                where, N_("the captured bytes give no reading here; they give: {allowed}"), allowed=listed(given)
            )
        elif key not in capture.readings:
            toml.fault(where, N_("is missing: the captured bytes give {given}"), given=shown(given[key]))
        elif capture.readings[key] != given[key]:
            text = N_("{value} is not what the captured bytes give, {given}")
            toml.fault(where, text, value=shown(capture.readings[key]), given=shown(given[key]))


def _readings(block: BlockRead, points: Sequence[PointDef]) -> dict[str, Value]:
    inside = [point for point in points if _holds(block.table, block.address, block.count, point)]
    good, _ = BlockDecoder(inside, block.address).decode(block.cells)
    return {point.key: point.value for point in good}


def _holds(table: Table, address: int, count: int, point: PointDef) -> bool:
    return point.table is table and address <= point.address and point.address + point.type.words <= address + count


def _overlap(block: BlockDef, table: Table, address: int, count: int) -> bool:
    return block.table is table and block.address < address + count and address < block.address + block.count
