"""What an InfluxDB of any version must have, and the steps from what it has. Pure.

A policy here is what a version calls so: a retention policy of 1.x, a bucket of 2.x, the database of 3.x itself.
"""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from cloud.keep import Keep

FOREVER = 0
_DAY_S = 86_400
# Parts in which InfluxDB keeps and forgets, by how long is kept; those that servers choose by themselves. A question
# looks through all series of a part, also through those that were silent in the time it asks for: what stands now is
# asked for every ten seconds, so its parts are days. Source: "Retention policy management", InfluxDB 1.8.
_SHARDS_S = ((2 * _DAY_S - 1, 3_600), (180 * _DAY_S - 1, _DAY_S))
_SHARD_OF_FOREVER_S = 7 * _DAY_S


class Policy(Struct, frozen=True):
    """How long something is kept.

    Attributes:
        name: as the server calls it.
        keep_s: seconds, `FOREVER` or more than 0.
        shard_s: seconds in a part of the store; 0 where the server decides or does not tell.
    """

    name: str
    keep_s: int = FOREVER
    shard_s: int = _SHARD_OF_FOREVER_S


class Stand(Struct, frozen=True):
    """What a server has, or is to have.

    Attributes:
        database: its name.
        is_there: whether there is one.
        policies: by name.
        default: name of the policy that is meant where none is named; "" where nobody can say.
        thinning: continuous queries or tasks, their text by name.
        names: under which InfluxQL finds a policy (2.x), what it stands for by the name.
    """

    database: str = ""
    is_there: bool = False
    policies: dict[str, Policy] = {}
    default: str = ""
    thinning: dict[str, str] = {}
    names: dict[str, str] = {}


class What(StrEnum):
    """Kinds of steps."""

    DATABASE = "database"
    POLICY = "policy"
    KEEP = "keep"
    DEFAULT = "default"
    THINNING = "thinning"
    THIN_ANEW = "thin-anew"
    NAME = "name"


class Step(Struct, frozen=True):
    """One thing to do.

    Attributes:
        what: its kind.
        name: of the database, the policy or the thinning.
        policy: as it is to be; of POLICY and KEEP, and the default one of DATABASE.
        was: as it is; of KEEP.
        text: of THINNING and THIN_ANEW: the query or task; of NAME: what it stands for; of DEFAULT: the one before.
        loses: points go with it, or are not found any more where nobody names a policy.
    """

    what: What
    name: str
    policy: Policy | None = None
    was: Policy | None = None
    text: str = ""
    loses: bool = False


def policy(name: str, days: int) -> Policy:
    """Say how long for, in days; 0 is for ever."""
    return Policy(name, days * _DAY_S, shard_s(days * _DAY_S))


def shard_s(keep_s: int) -> int:
    """Tell in what parts to store what is kept for so long, seconds."""
    if keep_s == FOREVER:
        return _SHARD_OF_FOREVER_S
    return next((shard for most, shard in _SHARDS_S if keep_s <= most), _SHARD_OF_FOREVER_S)


def longest_days(keep: Keep) -> int:
    """Tell how long a server keeps that has one policy for everything: nothing goes too soon."""
    kept = (keep.raw_days, keep.long_days)
    return 0 if 0 in kept else max(kept)


def steps_to(wanted: Stand, found: Stand) -> list[Step]:
    """List what is to be done, in order; [] where all is as it must be.

    What the server has beside is left alone. A database that is made now loses nothing.
    """
    steps = list(_policy_steps(wanted, found))
    if found.is_there and wanted.default and found.default not in ("", wanted.default):
        steps.append(Step(What.DEFAULT, wanted.default, text=found.default, loses=True))
    steps += [Step(What.NAME, name, text=text) for name, text in wanted.names.items() if name not in found.names]
    for name, text in wanted.thinning.items():
        if name not in found.thinning:
            steps.append(Step(What.THINNING, name, text=text))
        elif _bare(found.thinning[name]) != _bare(text):
            steps.append(Step(What.THIN_ANEW, name, text=text))
    return steps


def _policy_steps(wanted: Stand, found: Stand) -> Iterator[Step]:
    policies = dict(wanted.policies)
    if not found.is_there:
        yield Step(What.DATABASE, wanted.database, policies.pop(wanted.default, None))
    for name, to_be in policies.items():
        was = found.policies.get(name)
        if was is None:
            yield Step(What.POLICY, name, to_be)
        elif _differs(to_be, was):
            yield Step(What.KEEP, name, to_be, was, loses=_is_shorter(to_be, was))


def _differs(to_be: Policy, was: Policy) -> bool:
    return to_be.keep_s != was.keep_s or (was.shard_s not in (0, to_be.shard_s) and to_be.shard_s != 0)


def _is_shorter(to_be: Policy, was: Policy) -> bool:
    return to_be.keep_s != FOREVER and (was.keep_s == FOREVER or was.keep_s > to_be.keep_s)


def _bare(text: str) -> str:
    """Leave out what servers write in their own way: spaces, and quotes around names that need none."""
    return "".join(text.split()).replace('"', "").replace("\\", "")
