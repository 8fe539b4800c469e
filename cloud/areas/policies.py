"""What must happen with an alarm, by area and severity: the nearest area that says it, on the way up, wins."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, select

from cloud.areas.chunks import chunked
from cloud.areas.tree import ids_of
from cloud.database.area_tables import policy
from contract.alarms import Severity

Wanted = tuple[str, Severity]
Said = TypeVar("Said")


class FoundPolicy(Struct, frozen=True):
    """A policy and where it comes from.

    Attributes:
        area: the id of the area that says it.
        policy: `cloud.escalation.plan.Policy` as JSON values; it was checked when it was imported.
    """

    area: str
    policy: dict[str, Any]


def nearest(said: Mapping[tuple[str, Severity], Said], path: str, severity: Severity) -> tuple[str, Said] | None:
    """Find what holds at a path for a severity: of the areas on the way up, the nearest that says something.

    Args:
        said: by (area id, severity).
        path: an area's `path`; "" for no area.
        severity: the alarm's.

    Returns:
        The area's id and what it says; None when nothing is said up to the root.
    """
    for area_id in reversed(ids_of(path)):
        if (found := said.get((area_id, severity))) is not None:
            return area_id, found
    return None


def find_policies(connection: Connection, wanted: Collection[Wanted]) -> dict[Wanted, FoundPolicy]:
    """Find the policy of each (area path, severity).

    What no area says is not in the answer: there the default of the settings holds.
    """
    area_ids = sorted({area_id for path, _severity in wanted for area_id in ids_of(path)})
    said: dict[tuple[str, Severity], dict[str, Any]] = {}
    for some in chunked(area_ids):
        for row in connection.execute(select(policy).where(policy.c.area.in_(some))):
            said[row.area, Severity(row.severity)] = row.policy
    answers = {(path, severity): nearest(said, path, severity) for path, severity in wanted}
    return {key: FoundPolicy(*found) for key, found in answers.items() if found is not None}
