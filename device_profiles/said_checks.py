"""Golden captures of devices that speak by themselves: the bytes give exactly what is written beside them."""

from collections.abc import Mapping, Sequence

from contract.telemetry import Value
from device_profiles.faults import N_, listed, shown
from device_profiles.model import Capture, Profile
from device_profiles.speech.decoding import decode_bytes
from device_profiles.speech.layout import ToldReport, ToldSighting
from device_profiles.speech.said import Heard
from device_profiles.toml_file import TomlFile

_SAID_KEYS = ("bytes", "text", "address", "reports", "sightings", "said_at")


def check_capture_form(toml: TomlFile, capture: Capture, *, speaks: bool) -> None:
    """Note keys that belong to the other way of talking, and bytes that are not there or not hexadecimal."""
    place = toml.place_of(capture)
    for key in ("framing", "request", "reply") if speaks else _SAID_KEYS:
        if getattr(capture, key) not in (None, "", ()):
            asked = N_("belongs to a device that is asked, with [link]")
            speaking = N_("belongs to a device that speaks by itself, with [speaks]")
            text = asked if speaks else speaking
            toml.fault((*place, key), text)
    if not speaks:
        for key in ("request", "reply"):
            if not getattr(capture, key) and toml.is_clean((*place, key)):
                toml.fault((*place, key), N_("is missing"))
        return
    if not capture.source.strip():
        toml.fault((*place, "source"), N_("is empty: name the document and page, or device and date"))
    if bool(capture.bytes) == bool(capture.text):
        toml.fault((*place, "bytes"), N_("exactly one of bytes and text must be given"))
    try:
        bytes.fromhex(capture.bytes)
    except ValueError:
        toml.fault((*place, "bytes"), N_("{value} is not hexadecimal, as in 0D 0A"), value=shown(capture.bytes))


def check_said(toml: TomlFile, capture: Capture, profile: Profile) -> None:
    """Note every difference between what captured bytes give and what is written beside them.

    Args:
        toml: the file.
        capture: of the profile; its form without a fault.
        profile: without any other fault.
    """
    place = toml.place_of(capture)
    key = "bytes" if capture.bytes else "text"
    data = bytes.fromhex(capture.bytes) if capture.bytes else capture.text.encode("utf-8")
    said = decode_bytes(profile, data)
    for one in said:
        if one.refused:
            toml.fault((*place, key), N_("is refused: {why}"), why=one.refused)
    heard = [one for step in said for one in step.heard]
    if not heard:
        if toml.is_clean(place):
            toml.fault((*place, key), N_("gives nothing"))
        return
    _compare_readings(toml, capture, {name: value for one in heard for name, value in one.values})
    given = {
        "address": next((one.address for one in heard if one.address), ""),
        "reports": tuple(ToldReport(told.point, told.rule, told.is_on) for one in heard for told in one.reports),
        "sightings": _sightings(heard),
        "said_at": next((one.at_us / 1_000_000 for one in heard if one.at_us is not None), None),
    }
    for name, value in given.items():
        if getattr(capture, name) != value:
            text = N_("the captured bytes give {given}")
            toml.fault((*place, name), text, given=_written(value))


def _compare_readings(toml: TomlFile, capture: Capture, given: Mapping[str, Value]) -> None:
    place = toml.place_of(capture)
    for key in sorted(given.keys() | capture.readings.keys()):
        where = (*place, "readings", key)
        if key not in given:
            text = N_("the captured bytes give no reading here; they give: {allowed}")
            toml.fault(where, text, allowed=listed(given))
        elif key not in capture.readings:
            toml.fault(where, N_("is missing: the captured bytes give {given}"), given=shown(given[key]))
        elif capture.readings[key] != given[key]:
            text = N_("{value} is not what the captured bytes give, {given}")
            toml.fault(where, text, value=shown(capture.readings[key]), given=shown(given[key]))


def _sightings(heard: Sequence[Heard]) -> tuple[ToldSighting, ...]:
    return tuple(
        ToldSighting(tag.tag, tag.rssi, tag.is_moving, tag.is_pressed, tag.battery_v, tag.is_low)
        for one in heard
        for tag in one.sightings
    )


def _written(value: object) -> str:
    """As TOML would have it, so that it can be compared with the file and copied into it."""
    if not isinstance(value, tuple):
        return shown(value) if value is not None else "-"
    tables = []
    for one in value:
        pairs = {name: part for name in one.__struct_fields__ if (part := getattr(one, name)) is not None}
        tables.append("{ " + ", ".join(f"{name} = {shown(part)}" for name, part in pairs.items()) + " }")
    return f"[{', '.join(tables)}]"
