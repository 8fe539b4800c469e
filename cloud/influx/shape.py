"""What a measurement is made of: tags, fields of one type each, and how long it is kept."""

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """Type of a field; one for ever, as a field of two types cannot be written."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"


class Keep(StrEnum):
    """How long, and where."""

    RAW = "raw"
    """As it came, in the default retention policy; `telemetry` thinned to hours beside it, in `HOURS_POLICY`."""
    LONG = "long"
    """Few points a day, for reports over years, in `LONG_POLICY`."""


class Field(Struct, frozen=True):
    """One field of a measurement.

    Attributes:
        name: as it is written.
        kind: its type.
        words: what it is, for the docs.
        unit: Grafana's id of its unit; "" where it has none.
    """

    name: str
    kind: Kind
    words: str
    unit: str = ""


class Measurement(Struct, frozen=True, kw_only=True):
    """One measurement.

    Attributes:
        name: as it is written.
        words: what one point of it is, for the docs.
        tags: their names, sorted.
        fields: those it has always or sometimes; of `telemetry` only what every device has.
        keep: how long.
        by: which command writes it.
        every_s: how often a series is written at least, while nothing happens; 0: only when something does.
    """

    name: str
    words: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]
    keep: Keep
    by: str
    every_s: int = 0
