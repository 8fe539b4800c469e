"""Escalation follows what happens to alarms, in the transaction in which it happens."""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Connection

from cloud.areas.policies import Wanted, find_policies
from cloud.desk.changes import Changed
from cloud.escalation.plan import DEFAULTS, Policy


def follow(connection: Connection, changes: Sequence[Changed]) -> None:
    """Begin, begin anew, stop or end the escalation of what changed.

    Args:
        connection: the transaction in which the changes are kept; the rows of the occurrences are written.
        changes: in their order; several may mean the same occurrence.
    """


def target_seconds(connection: Connection, wanted: Collection[Wanted]) -> dict[Wanted, int]:
    """Tell what `occurrence.target_s` becomes at each (area path, severity); every one asked for is in the answer."""
    return {key: policy.target_s for key, policy in policies_of(connection, wanted).items()}


def policies_of(connection: Connection, wanted: Collection[Wanted]) -> dict[Wanted, Policy]:
    """Find the policy of each (area path, severity): of the nearest area that says one, else the built-in one."""
    found = find_policies(connection, wanted)
    return {
        key: msgspec.convert(found[key].policy, Policy) if key in found else DEFAULTS[key[1]] for key in set(wanted)
    }
