"""What the messages of a declared grammar must keep: fields that can be cut, and no frame that is two messages."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from string import Formatter

from contract.ids import is_id
from device_profiles.codec import ValueKind, value_kind
from device_profiles.faults import N_, listed, shown
from device_profiles.model import Carrier, HeardDef
from device_profiles.point_checks import check_text
from device_profiles.speech.layout import Field, FieldType, FixedFrame, Frame, Message, Part, ReportDef
from device_profiles.toml_file import Place, TomlFile

_NUMBERS = frozenset({FieldType.INT, FieldType.HEX})
_TIMES = frozenset({FieldType.NMEA_TIME, FieldType.EPOCH_S})
_NESTS = frozenset({FieldType.BYTES, FieldType.AD})
_SIZED = frozenset({FieldType.BCD, FieldType.HEX_WORD})
_WHOLE = frozenset({FieldType.NMEA_DEGREES, FieldType.NMEA_TIME, FieldType.AD2_CID})
_SCALE_LIMIT = 1e12
_LONGEST_NEST = 255
_UNBOUNDED = 1_000_000


def check_messages(
    toml: TomlFile,
    frame: Frame,
    messages: Sequence[Message],
    heard: Sequence[HeardDef],
    *,
    carriers: Sequence[Carrier],
) -> None:
    """Note every fault of the messages, each alone and among each other.

    Args:
        toml: the file.
        frame: how they are framed; without a fault.
        messages: as they could be read.
        heard: the points that they may fill.
        carriers: what carries them.
    """
    points = {point.key: point for point in heard}
    for message in messages:
        _check_message(toml, frame, message, points)
        if message.reply and carriers == (Carrier.MQTT,):
            toml.fault((*toml.place_of(message), "reply"), N_("has nowhere to go on mqtt"))
    _check_told_apart(toml, frame, messages)
    if toml.is_clean(("speaks",)):
        filled = {field.heard for message in messages for field in message.field}
        for point in heard:
            if point.key not in filled:
                toml.fault((*toml.place_of(point), "key"), N_("no message fills {key}"), key=shown(point.key))


def _check_message(toml: TomlFile, frame: Frame, message: Message, points: Mapping[str, HeardDef]) -> None:
    place = toml.place_of(message)
    if not message.source.strip():
        toml.fault((*place, "source"), N_("is empty: name the document and page it is taken from"))
    _check_form(toml, frame, message)
    known: dict[str, Field] = {}
    for field in message.field:
        where = toml.place_of(field)
        if field.key in known:
            toml.fault((*where, "key"), N_("{key} is taken by another field"), key=shown(field.key))
        _check_cut(toml, frame, message, field, known)
        _check_meaning(toml, field, points)
        known.setdefault(field.key, field)
    if frame.encoding is None or any(field.of for field in message.field):
        _check_overlaps(toml, message)
    _check_uses(toml, message, known)
    for report in message.report:
        _check_report(toml, report, known)


def _check_form(toml: TomlFile, frame: Frame, message: Message) -> None:
    place = toml.place_of(message)
    for key in ("starts", "reply"):
        if (frame.encoding is None or key == "reply") and _bytes_of(getattr(message, key)) is None:
            value = shown(getattr(message, key))
            toml.fault((*place, key), N_("{value} is not hexadecimal, as in 0D 0A"), value=value)
    if frame.encoding is None:
        for key, default in (("fields", None), ("separator", ","), ("rest", False)):
            if getattr(message, key) != default:
                toml.fault((*place, key), N_("belongs to text; these frames are bytes, without an encoding"))
    if message.fields is not None and not 1 <= message.fields[0] <= message.fields[1]:
        toml.fault((*place, "fields"), N_("is fewest and most, as in [5, 6]"))
    if message.rest and message.fields is None:
        toml.fault((*place, "rest"), N_("needs fields: the last of them takes the rest"))


def _check_cut(toml: TomlFile, frame: Frame, message: Message, field: Field, known: Mapping[str, Field]) -> None:
    """The field says all that its type needs and nothing else, and lies inside."""
    place, kind = toml.place_of(field), field.type
    is_text = not kind.is_of_bytes
    needed = {"index": is_text, "at": kind.is_of_bytes and kind is not FieldType.AD, "size": kind in _SIZED}
    needed |= {"ad_type": kind is FieldType.AD, "date": kind is FieldType.NMEA_TIME}
    for key, is_needed in needed.items():
        if is_needed and getattr(field, key) is None and toml.is_clean((*place, key)):
            toml.fault((*place, key), N_("is missing: {type} needs it"), type=kind.value)
        if not is_needed and getattr(field, key) is not None:
            toml.fault((*place, key), N_("has no meaning for {type}"), type=kind.value)
    if is_text and frame.encoding is None:
        text = N_("{type} is cut from text; these frames are bytes, without an encoding")
        toml.fault((*place, "type"), text, type=kind.value)
    if kind.is_of_bytes and frame.encoding is not None and field.of is None:
        text = N_("{type} is cut from bytes: name the field of bytes it lies in; these frames are text")
        toml.fault((*place, "of"), text, type=kind.value)
    if field.of is not None and (field.of not in known or known[field.of].type not in _NESTS or is_text):
        inside = listed(key for key, one in known.items() if one.type in _NESTS)
        toml.fault(
            (*place, "of"),
            N_("{key} is no field of bytes before it; allowed: {allowed}"),
            key=shown(field.of),
            allowed=inside,
        )
    _check_part(toml, field)
    last = None if message.fields is None else message.fields[1] - 1 if message.separator else 0
    for key in ("index", "date"):
        index = getattr(field, key)
        if index is not None and last is not None and index > last:
            toml.fault((*place, key), N_("field {index} is past the last, {last}"), index=str(index), last=str(last))
    most = _longest(frame, message) if field.of is None else _LONGEST_NEST
    if field.at is not None and kind.is_of_bytes and field.at + (kind.size or field.size or 1) > most:
        text = N_("it ends outside: the frame has {most} bytes at most")
        toml.fault((*place, "at"), text, most=str(most))


def _check_part(toml: TomlFile, field: Field) -> None:
    place, kind = toml.place_of(field), field.type
    is_number = kind in _NUMBERS or (kind.size is not None and kind is not FieldType.F32)
    if field.bits is not None:
        width = 8 * (kind.size or 6)
        if not is_number:
            toml.fault((*place, "bits"), N_("has no meaning for {type}"), type=kind.value)
        elif field.bits.first + field.bits.count > width:
            toml.fault((*place, "bits"), N_("leaves the number, which has {bits} bits"), bits=str(width))
    if field.chars is not None and (kind.is_of_bytes or kind in _WHOLE):
        toml.fault((*place, "chars"), N_("has no meaning for {type}"), type=kind.value)
    if field.hex_digits is not None and not is_number:
        toml.fault((*place, "hex_digits"), N_("has no meaning for {type}"), type=kind.value)


def kind_of(field: Field) -> ValueKind | None:
    """Tell what kind of value a field gives; None where it gives none: bytes, and times."""
    if field.type in _NESTS or field.type in _TIMES:
        return None
    if field.true_when or (field.bits is not None and field.bits.count == 1 and not field.values):
        return ValueKind.STATE
    is_word = field.values or field.hex_digits is not None
    if is_word or field.type in (FieldType.WORD, FieldType.BCD, FieldType.HEX_WORD, FieldType.AD2_CID):
        return ValueKind.WORD
    return ValueKind.NUMBER


def _check_meaning(toml: TomlFile, field: Field, points: Mapping[str, HeardDef]) -> None:
    place, kind = toml.place_of(field), kind_of(field)
    if sum((bool(field.values), bool(field.true_when), field.hex_digits is not None)) > 1:
        toml.fault((*place, "values"), N_("only one of values, true_when and hex_digits can be"))
    if kind is not ValueKind.NUMBER:
        for key, default in (("scale", 1.0), ("offset", 0.0)):
            if getattr(field, key) != default:
                toml.fault((*place, key), N_("has no meaning for a {kind}; only for numbers"), kind=kind or "time")
    elif not 1 / _SCALE_LIMIT <= abs(field.scale) <= _SCALE_LIMIT:
        toml.fault((*place, "scale"), N_("{value} is out of limits: 1e-12 to 1e12"), value=shown(field.scale))
    elif abs(field.offset) > _SCALE_LIMIT:
        toml.fault((*place, "offset"), N_("{value} is out of limits: -1e12 to 1e12"), value=shown(field.offset))
    if field.heard is None:
        return
    if field.heard not in points:
        where = (*place, "heard")
        toml.fault(where, N_("no point {key}; points: {allowed}"), key=shown(field.heard), allowed=listed(points))
    elif kind is not value_kind(points[field.heard]):
        text = N_("{key} is a {wanted}, the field gives a {kind}")
        args = {"wanted": value_kind(points[field.heard]).value, "kind": kind.value if kind else "-"}
        toml.fault((*place, "heard"), text, key=shown(field.heard), **args)


def _check_overlaps(toml: TomlFile, message: Message) -> None:
    """Two fields share bytes only as bits of the same number that share none."""
    cut = [field for field in message.field if field.at is not None and field.type.is_of_bytes]
    for first, second in combinations(sorted(cut, key=lambda field: (field.of or "", field.at or 0)), 2):
        end = (first.at or 0) + (first.type.size or first.size or 1)
        if first.of != second.of or (second.at or 0) >= end:
            continue
        is_same = (first.at, first.type, first.order) == (second.at, second.type, second.order)
        if not is_same or not _share_no_bit(first.bits, second.bits):
            text = N_("lies on field {other}; only bits of one number, with none in common, may share it")
            toml.fault((*toml.place_of(second), "at"), text, other=shown(first.key))


def _share_no_bit(first: Part | None, second: Part | None) -> bool:
    if first is None or second is None:
        return False
    low, high = sorted((first, second), key=lambda part: part.first)
    return low.first + low.count <= high.first


def _check_uses(toml: TomlFile, message: Message, known: Mapping[str, Field]) -> None:
    """Every field that is named is there and gives what is wanted of it."""
    place, words, numbers = toml.place_of(message), ValueKind.WORD, ValueKind.NUMBER
    _check_use(toml, (*place, "address"), message.address, known, (words, numbers))
    if message.time is not None and (message.time not in known or known[message.time].type not in _TIMES):
        times = listed(key for key, field in known.items() if field.type in _TIMES)
        toml.fault(
            (*place, "time"),
            N_("{key} is no field with a time; allowed: {allowed}"),
            key=shown(message.time),
            allowed=times,
        )
    for match in message.where:
        where = toml.place_of(match)
        _check_use(toml, (*where, "field"), match.field, known, tuple(ValueKind))
        if not match.equals:
            toml.fault((*where, "equals"), N_("is empty: no frame is this message"))
    if message.sighting is not None:
        where = toml.place_of(message.sighting)
        wanted = {"tag": words, "rssi": numbers, "battery": numbers}
        wanted |= dict.fromkeys(("moving", "pressed", "low"), ValueKind.STATE)
        for key, kind in wanted.items():
            _check_use(toml, (*where, key), getattr(message.sighting, key), known, (kind,))


def _check_use(
    toml: TomlFile, place: Place, key: str | None, known: Mapping[str, Field], kinds: Iterable[ValueKind]
) -> None:
    if key is None:
        return
    fitting = [name for name, field in known.items() if kind_of(field) in tuple(kinds)]
    if key not in known:
        toml.fault(place, N_("no field {key}; fields: {allowed}"), key=shown(key), allowed=listed(fitting))
    elif key not in fitting:
        text = N_("field {key} gives a {kind}; fields that fit: {allowed}")
        kind = kind_of(known[key])
        toml.fault(place, text, key=shown(key), kind=kind.value if kind else "-", allowed=listed(fitting))


def _check_report(toml: TomlFile, report: ReportDef, known: Mapping[str, Field]) -> None:
    place = toml.place_of(report)
    check_text(toml, (*place, "text"), report.text)
    for key in ("field", "value"):
        _check_use(toml, (*place, key), getattr(report, key), known, tuple(ValueKind))
    if report.field is None and (report.on or report.off):
        toml.fault((*place, "field"), N_("is missing: on and off are what it is"))
    if report.field is not None and not report.on:
        toml.fault((*place, "on"), N_("is empty: the alarm is never raised"))
    for word in sorted(set(report.on) & set(report.off)):
        toml.fault((*place, "off"), N_("{value} raises it too"), value=shown(word))
    templates = {"point": report.point, **{f"text.{language}": words for language, words in report.text.items()}}
    for name, words in templates.items():
        allowed = list(known) if name == "point" else ["label"]
        try:
            names = {one for _, one, _, _ in Formatter().parse(words) if one is not None}
        except ValueError as error:
            toml.fault((*place, *name.split(".")), N_("braces do not match: {why}"), why=str(error))
            continue
        for unknown in sorted(names - set(allowed)):
            fitting = listed(f"{{{one}}}" for one in allowed)
            text = N_("{name} is no placeholder; allowed: {allowed}")
            toml.fault((*place, *name.split(".")), text, name=shown(unknown), allowed=fitting)
        if name == "point" and names <= set(allowed) and not is_id(words.format_map(dict.fromkeys(names, "0"))):
            toml.fault((*place, "point"), N_("{value} gives no id"), value=shown(words))


def _check_told_apart(toml: TomlFile, frame: Frame, messages: Sequence[Message]) -> None:
    """No frame is two messages: they begin differently, count differently, or a field of both differs."""
    if not all(toml.is_clean(toml.place_of(message)) for message in messages):
        return
    keys: set[str] = set()
    for message in messages:
        if message.key in keys:
            toml.fault(
                (*toml.place_of(message), "key"), N_("{key} is taken by another message"), key=shown(message.key)
            )
        keys.add(message.key)
    rest = [message for message in messages if message.otherwise]
    for message in rest[1:]:
        where = (*toml.place_of(message), "otherwise")
        toml.fault(where, N_("{other} is that already"), other=shown(rest[0].key))
    for first, second in combinations([message for message in messages if not message.otherwise], 2):
        if not _are_apart(frame, first, second):
            text = N_("a frame could be this message and {other}: let them begin differently, or differ in a field")
            toml.fault((*toml.place_of(second), "where"), text, other=shown(first.key))
    if isinstance(frame, FixedFrame):
        _check_starts(toml, frame, messages)


def _check_starts(toml: TomlFile, frame: FixedFrame, messages: Sequence[Message]) -> None:
    """Every message begins as some frame does."""
    starts = [bytes.fromhex(start) for start in frame.sizes]
    for message in messages:
        begins = _bytes_of(message.starts) or b""
        if frame.encoding is None and not any(one.startswith(begins) or begins.startswith(one) for one in starts):
            where = (*toml.place_of(message), "starts")
            toml.fault(where, N_("no frame begins like that; they begin: {allowed}"), allowed=listed(frame.sizes))


def _are_apart(frame: Frame, first: Message, second: Message) -> bool:
    one, other = (_begins(frame, message) for message in (first, second))
    if not one.startswith(other) and not other.startswith(one):
        return True
    is_comparable = frame.encoding is None or (one == other and first.separator == second.separator)
    if not is_comparable or first.rest is not second.rest:
        return False
    if frame.encoding is not None:
        (low, high), (least, most) = (_counts(message) for message in (first, second))
        if high < least or most < low:
            return True
    wanted, others = _wanted(first), _wanted(second)
    return any(not wanted[key] & others[key] for key in wanted.keys() & others.keys())


def _begins(frame: Frame, message: Message) -> bytes:
    if frame.encoding is None:
        return _bytes_of(message.starts) or b""
    return message.starts.encode("utf-8")


def _counts(message: Message) -> tuple[int, int]:
    fewest, most = message.fields or (0, _UNBOUNDED)
    return fewest, _UNBOUNDED if message.rest else most


def _wanted(message: Message) -> dict[tuple[object, ...], frozenset[str]]:
    """What the fields that decide must be, by how they are cut, whatever they are called."""
    fields = {field.key: field for field in message.field}
    return {_path(fields, match.field): frozenset(match.equals) for match in message.where}


def _path(fields: Mapping[str, Field], key: str) -> tuple[object, ...]:
    field = fields[key]
    above = _path(fields, field.of) if field.of is not None else ()
    part = (field.type, field.index, field.at, field.size, field.order, field.ad_type, field.chars, field.bits)
    return (*above, part, frozenset(field.no_value))


def _longest(frame: Frame, message: Message) -> int:
    if not isinstance(frame, FixedFrame):
        return frame.max_bytes
    begins = _bytes_of(message.starts) or b""
    fitting = [
        size
        for start, size in frame.sizes.items()
        if bytes.fromhex(start).startswith(begins) or begins.startswith(bytes.fromhex(start))
    ]
    return min(fitting or [frame.max_bytes])


def _bytes_of(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
