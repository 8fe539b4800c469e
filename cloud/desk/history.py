"""The history of an alarm: what each change wrote, and the alarm that all of them together make. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cloud.desk.core import Alarm
from cloud.errors import HistoryError

Fields = dict[str, tuple[Any, Any]]
"""Of each field that changed, by name, its values before and after, as JSON has them."""

_DEFAULTS: Mapping[str, Any] = {
    field.name: msgspec.to_builtins(field.default)
    for field in msgspec.structs.fields(Alarm)
    if field.default is not msgspec.NODEFAULT
}


def changed_fields(before: Alarm | None, after: Alarm) -> Fields:
    """Tell what a change wrote; of a new alarm, all that is not as the defaults of `Alarm` have it."""
    new = msgspec.to_builtins(after)
    if before is None:
        return {name: (None, value) for name, value in new.items() if name not in _DEFAULTS or _DEFAULTS[name] != value}
    old = msgspec.to_builtins(before)
    return {name: (old[name], value) for name, value in new.items() if old[name] != value}


def replay(history: Iterable[Mapping[str, Any]]) -> Alarm:
    """Make the alarm that its history says.

    Args:
        history: the `fields` of one alarm's rows of `change`, the first change first.

    Raises:
        HistoryError: a change does not begin where the one before it ended, or the first opens nothing.
    """
    values: dict[str, Any] = {}
    for number, fields in enumerate(history):
        for name, (before, after) in fields.items():
            known = values.get(name, _DEFAULTS.get(name)) if number else None
            if known != before:
                raise HistoryError(f"change {number + 1}: {name} was {known!r}, and the change says {before!r}")
            values[name] = after
    try:
        return msgspec.convert(values, Alarm)
    except msgspec.ValidationError as error:
        raise HistoryError(f"it does not make an alarm: {error}") from error
