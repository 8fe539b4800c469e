"""What a declared grammar must keep beyond its form: frames that can be found, and no frame that is two messages."""

from collections.abc import Sequence
from itertools import combinations

from device_profiles.faults import N_, listed, shown
from device_profiles.message_checks import check_messages
from device_profiles.model import HeardDef, Language, Speaks
from device_profiles.speech import checksums
from device_profiles.speech.layout import CountedFrame, DelimitedFrame, Escape, FixedFrame, Frame
from device_profiles.toml_file import Place, TomlFile


def check_grammar(toml: TomlFile, speaks: Speaks, heard: Sequence[HeardDef]) -> None:
    """Note every fault of what a device that speaks by itself declares of its bytes.

    Args:
        toml: the file.
        speaks: as it could be read.
        heard: the points that it may fill.
    """
    place = toml.place_of(speaks)
    if speaks.language is not Language.GRAMMAR:
        for key in ("frame", "message"):
            if getattr(speaks, key):
                text = N_("belongs to the language grammar; {language} brings its own")
                toml.fault((*place, key), text, language=speaks.language.value)
        return
    if speaks.frame is None:
        if toml.is_clean((*place, "frame")):
            toml.fault((*place, "frame"), N_("is missing: the language grammar says how frames are found"))
        return
    if not speaks.message and toml.is_clean((*place, "message")):
        toml.fault((*place, "message"), N_("is empty: the language grammar says what frames mean"))
    check_frame(toml, speaks.frame)
    if toml.is_clean(toml.place_of(speaks.frame)):
        check_messages(toml, speaks.frame, speaks.message, heard, carriers=speaks.carriers)


def check_frame(toml: TomlFile, frame: Frame) -> None:
    """Note every fault of how frames are found."""
    place = toml.place_of(frame)
    names = {"start", "end", "trim"} & set(frame.__struct_fields__)
    good = [_hex(toml, (*place, name), getattr(frame, name)) is not None for name in sorted(names)]
    if not all(good):
        return
    if isinstance(frame, DelimitedFrame):
        _check_delimited(toml, frame)
    elif isinstance(frame, CountedFrame):
        _check_counted(toml, frame)
    else:
        _check_fixed(toml, frame)
    if toml.is_clean(place):
        _check_checksum(toml, frame)


def shortest_frame(frame: Frame) -> int:
    """The fewest bytes that a frame with nothing in it has."""
    end = len(bytes.fromhex(frame.end))
    if isinstance(frame, FixedFrame):
        return min(frame.sizes.values())
    start = len(bytes.fromhex(frame.start))
    head = max(start, frame.at + frame.size) if isinstance(frame, CountedFrame) else start
    least = head + end + (frame.checksum.size if frame.checksum else 0)
    return max(least, checksums.shortest(frame.checksum)) if frame.checksum else least


def _hex(toml: TomlFile, place: Place, text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        toml.fault(place, N_("{value} is not hexadecimal, as in 0D 0A"), value=shown(text))
        return None


def _check_delimited(toml: TomlFile, frame: DelimitedFrame) -> None:
    place = toml.place_of(frame)
    start, end = bytes.fromhex(frame.start), bytes.fromhex(frame.end)
    if not end:
        toml.fault((*place, "end"), N_("is empty: a frame without an end and without a length never ends"))
        return
    if start and start == end and frame.checksum is None:
        text = N_("is the start too: without a checksum nobody can tell a frame from what lies between two frames")
        toml.fault((*place, "end"), text)
    elif start != end and (start.startswith(end) or (start and end.startswith(start))):
        toml.fault((*place, "end"), N_("begins like the start: the two cannot be told apart"))
    if bytes.fromhex(frame.trim) and set(bytes.fromhex(frame.trim)) & set(start):
        toml.fault((*place, "trim"), N_("would take the start bytes away"))
    if frame.escape is not None:
        _check_escape(toml, frame.escape, delimiters=start + end)


def _check_escape(toml: TomlFile, escape: Escape, *, delimiters: bytes) -> None:
    place = toml.place_of(escape)
    byte = _hex(toml, (*place, "byte"), escape.byte)
    if byte is None or len(byte) != 1:
        if byte is not None:
            toml.fault((*place, "byte"), N_("{value} is not one byte"), value=shown(escape.byte))
        return
    if byte in delimiters:
        toml.fault((*place, "byte"), N_("{value} is a start or end byte too"), value=shown(escape.byte))
    meant = _check_pairs(toml, escape, delimiters=delimiters)
    missing = sorted({bytes([one]) for one in (*delimiters, *byte)} - meant)
    if missing and toml.is_clean((*place, "pairs")):
        text = N_("has no escape for {missing}, which could then never stand inside a frame")
        toml.fault((*place, "pairs"), text, missing=listed(one.hex() for one in missing))


def _check_pairs(toml: TomlFile, escape: Escape, *, delimiters: bytes) -> set[bytes]:
    """Note faults of each escape; tell which bytes have one."""
    place = toml.place_of(escape)
    meant: set[bytes] = set()
    for code, value in escape.pairs.items():
        where = (*place, "pairs", code)
        written, byte = _hex(toml, where, code), _hex(toml, where, value)
        if written is None or byte is None:
            continue
        if len(written) != 1 or len(byte) != 1:
            toml.fault(where, N_("{value} is not one byte"), value=shown(f"{code} = {value}"))
        elif written in delimiters:
            text = N_("{value} is a start or end byte: an escape that contains one would end the frame")
            toml.fault(where, text, value=shown(code))
        elif byte in meant:
            toml.fault(where, N_("{value} has two escapes"), value=shown(value))
        meant.add(byte)
    return meant


def _check_counted(toml: TomlFile, frame: CountedFrame) -> None:
    place, start = toml.place_of(frame), bytes.fromhex(frame.start)
    if not start:
        toml.fault((*place, "start"), N_("is empty: without it nobody finds the next frame after noise"))
    if frame.at < len(start):
        text = N_("{at} lies inside the {count} start bytes")
        toml.fault((*place, "at"), text, at=str(frame.at), count=str(len(start)))
    longest = frame.adds + (1 << (8 * frame.size)) - 1
    if longest < shortest_frame(frame) or frame.adds > frame.max_bytes:
        toml.fault((*place, "adds"), N_("no length gives a frame between its shortest and max_bytes"))


def _check_fixed(toml: TomlFile, frame: FixedFrame) -> None:
    place = toml.place_of(frame)
    starts: dict[str, bytes] = {}
    for text in frame.sizes:
        found = _hex(toml, (*place, "sizes", text), text)
        if found is not None:
            starts[text] = found
    if not frame.sizes and toml.is_clean((*place, "sizes")):
        toml.fault((*place, "sizes"), N_("is empty: start bytes and the length of the whole frame"))
    if len({len(start) for start in starts.values()}) > 1:
        toml.fault((*place, "sizes"), N_("has start bytes of different lengths: one could hide in another"))
    end = bytes.fromhex(frame.end)
    for text, start in starts.items():
        if not start:
            toml.fault((*place, "sizes", text), N_("is empty: without it nobody finds the next frame after noise"))
        elif frame.sizes[text] < len(start) + len(end):
            where = (*place, "sizes", text)
            toml.fault(where, N_("{size} bytes have no room for start and end"), size=str(frame.sizes[text]))
    for first, second in combinations(starts, 2):
        if starts[first] == starts[second]:
            toml.fault((*place, "sizes", second), N_("{value} is there twice"), value=shown(second))


def _check_checksum(toml: TomlFile, frame: Frame) -> None:
    """The span lies inside every frame, not over the checksum itself; the longest has room for the shortest."""
    place, checksum = toml.place_of(frame), frame.checksum
    if checksum is not None:
        where = toml.place_of(checksum)
        sizes = sorted(set(frame.sizes.values())) if isinstance(frame, FixedFrame) else [frame.max_bytes]
        for size in sizes:
            if not checksums.can_lie(checksum, size):
                text = N_(
                    "in a frame of {size} bytes the checksum ({width} at {at}) and its span ({first} to {last}) are "
                    "not both inside, and apart"
                )
                args = {"size": size, "width": checksum.size, "at": checksum.at}
                more = {"first": checksum.begin, "last": checksum.end}
                toml.fault((*where, "to"), text, **{key: str(value) for key, value in (args | more).items()})
                return
    least = shortest_frame(frame)
    longest = max(frame.sizes.values()) if isinstance(frame, FixedFrame) else least
    if frame.max_bytes < longest:
        text = N_("{value} is less than the {least} bytes that a frame has at least")
        toml.fault((*place, "max_bytes"), text, value=str(frame.max_bytes), least=str(longest))
