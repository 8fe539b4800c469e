"""Errors of the cloud package: one root, sorted by who can mend them."""

from pathlib import Path


class CloudError(Exception):
    """Root of every error raised by the cloud package; `hint` is what a person can do."""

    hint = "See the log."


class SettingsError(CloudError):
    """The settings file cannot be used; the operator mends it.

    Attributes:
        file: the settings file.
        key: the faulty key as a dotted path, "" when the file as a whole is meant.
    """

    hint = "Mend the key named; nothing was started."

    def __init__(self, file: Path | str, key: str, why: str) -> None:
        place = f"{file}: {key}" if key else f"{file}"
        super().__init__(f"{place}: {why}")
        self.file = file
        self.key = key


class DatabaseAwayError(CloudError):
    """A database does not answer now; time mends it. The work is kept and tried again.

    Attributes:
        retry_after_s: how long the server asked us to wait; None when it did not say.
    """

    hint = "Check that the database runs and can be reached; nothing is lost meanwhile."

    def __init__(self, why: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class DeadlockError(DatabaseAwayError):
    """Two transactions waited for each other, and the database has ended ours; repeated, it goes through."""


class HoldError(CloudError):
    """The database turns us away as a whole (credentials, missing database); the operator mends it.

    Attributes:
        status: the HTTP status.
    """

    hint = "Check credentials and the database's name; data is kept and tried again."

    def __init__(self, why: str, *, status: int) -> None:
        super().__init__(why)
        self.status = status


class DatabaseRefusedError(CloudError):
    """The database will never take this data; the culprits go to the dead letters."""

    hint = "Read the dead letters: they hold the data and the database's reason."


class UnstorableError(CloudError):
    """A sample holds a number that no database takes (infinite).

    Attributes:
        index: the sample's place in its batch.
    """

    hint = "A reading is finite; look at the sender's encoder."

    def __init__(self, index: int, key: str) -> None:
        super().__init__(f"sample {index}: point {key!r} is not a finite number")
        self.index = index


class SchemaError(CloudError):
    """A line does not fit the schema of InfluxDB; the program is wrong, not its data.

    Attributes:
        measurement: of the line.
    """

    hint = "Say it in cloud/influx/schema.py first, then write it."

    def __init__(self, measurement: str, why: str) -> None:
        super().__init__(f"InfluxDB's measurement {measurement!r}: {why}")
        self.measurement = measurement


class TooLargeError(CloudError):
    """The database takes the data in smaller pieces only."""

    hint = "Lower influx.batch_lines, or raise the server's request limit."


class BrokerAwayError(CloudError):
    """The MQTT broker cannot be reached or closed the connection; time mends it."""

    hint = "Check that the broker runs and can be reached; gateways keep everything meanwhile."


class BrokerCredentialsError(CloudError):
    """The MQTT broker refuses who we are or what we subscribe to; the operator mends it."""

    hint = "Check mqtt.username, its password and the broker's access list."


class AlarmError(CloudError):
    """Root of what an operator at the desk can do wrong."""

    hint = "List the alarms and name one of them."


class UnknownAlarmError(AlarmError):
    """No alarm has that id or a beginning like it."""

    def __init__(self, alarm_id: str) -> None:
        super().__init__(f"no alarm is called {alarm_id[:80]!r}")
        self.alarm_id = alarm_id


class AmbiguousAlarmError(AlarmError):
    """More than one alarm begins so.

    Attributes:
        candidates: up to ten of their ids.
    """

    hint = "Give more characters of the id."

    def __init__(self, prefix: str, candidates: tuple[str, ...]) -> None:
        super().__init__(f"{prefix!r} may be any of {', '.join(candidates)}")
        self.prefix = prefix
        self.candidates = candidates


class ActionRefusedError(AlarmError):
    """The alarm's state does not allow what was asked.

    Attributes:
        alarm_id: which one.
        action: what was asked: acknowledge, dispatch, arrive, close, reset, ...
        state, stage: the alarm's, by name.
        allowed: the actions that it allows now.
        by, at_us: who did it before, and when (microseconds UTC); None where nobody did.
    """

    hint = "Look at the alarm again: it says which actions it allows."

    def __init__(
        self,
        why: str,
        *,
        alarm_id: str,
        action: str,
        state: str,
        stage: str,
        allowed: tuple[str, ...],
        by: str | None = None,
        at_us: int | None = None,
    ) -> None:
        super().__init__(why)
        self.alarm_id = alarm_id
        self.action = action
        self.state = state
        self.stage = stage
        self.allowed = allowed
        self.by = by
        self.at_us = at_us


class AlreadyAcknowledgedError(ActionRefusedError):
    """Somebody was first; `by` and `at_us` say who and when."""

    hint = "Nothing is left to do: it is being looked after."


class AlreadyClosedError(ActionRefusedError):
    """The alarm is closed by `by` since `at_us`; only comments can be added."""

    hint = "A new raise of the same source opens a new alarm."


class ClosingError(AlarmError):
    """A live alarm is closed with a code and a comment."""

    hint = "Say in a few words what was found and done."


class HistoryError(CloudError):
    """The history of an alarm does not explain it."""

    hint = "Somebody wrote to the database by hand; restore it from a copy, or take the row as it stands."


class PeopleError(CloudError):
    """Root of what goes wrong with users, their passwords, sessions, tokens and links."""

    hint = "List the users: langyan cloud users list."


class NotSignedInError(PeopleError):
    """No session or token, or one that is unknown, expired or revoked; which of these is not told."""

    hint = "Sign in again, or make a new token."


class LoginRefusedError(PeopleError):
    """Name or password is wrong, or the user disabled; which of these is not told."""

    hint = "Look at name and password; an administrator can give a new one."

    def __init__(self) -> None:
        super().__init__("name or password is wrong")


class LoginThrottledError(PeopleError):
    """Too many failed logins; whether the password was right has not been looked at.

    Attributes:
        retry_after_s: how long to wait, at least 1.
    """

    hint = "Wait; an administrator of the machine can end it: langyan cloud users password."

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many failed logins; again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class NotAllowedError(PeopleError):
    """The person's role, area or token does not allow it."""

    hint = "Ask somebody of a higher role, or with a larger area; docs/users.md has the table."


class PasswordRefusedError(PeopleError):
    """A new password is too short, too long, or among the worst."""

    hint = "Take at least 10 characters that nobody guesses: four words that do not belong together."


class UnknownUserError(PeopleError):
    """No user has that name, or none that the asker may see."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no user is called {name[:80]!r}")
        self.name = name


class UserExistsError(PeopleError):
    """A user of that name is there; names are never given twice, since the history holds them."""

    hint = "Take another name, or edit that user."

    def __init__(self, name: str) -> None:
        super().__init__(f"a user is called {name!r} already")
        self.name = name


class BadUserError(PeopleError):
    """A field of a user cannot be as it was said.

    Attributes:
        field: its name.
    """

    hint = "Mend the field named."

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


class LastAdminError(PeopleError):
    """Without this user nobody could edit all users any more."""

    hint = "Make another admin of everything first."

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is the last admin of everything")
        self.name = name


class TokenRefusedError(PeopleError):
    """A token cannot be made like that."""

    hint = "Name it, give it scopes of your own role, and an end within a year."


class UnknownTokenError(PeopleError):
    """No token of that user has that id."""

    hint = "List the tokens."

    def __init__(self, token_id: str) -> None:
        super().__init__(f"no token is called {token_id[:80]!r}")


class LinkRefusedError(PeopleError):
    """A link is not one of ours, was changed, is for something else, or has expired.

    Attributes:
        has_expired: it was ours, and is too old.
    """

    hint = "Take a fresh link, or sign in."

    def __init__(self, *, has_expired: bool) -> None:
        super().__init__("the link has expired" if has_expired else "the link is not valid")
        self.has_expired = has_expired


class ControlError(AlarmError):
    """What takes an alarm's voice away cannot begin or end so: it lasts already, does not last, or names nothing."""

    hint = "List what is shelved, suppressed and out of service."


class GarbledPlanError(CloudError):
    """A row of `escalation` cannot be read: something else has written it.

    Attributes:
        alarm_id: whose plan it is.
    """

    hint = "The auditor begins that alarm's escalation anew within its period; see who writes to the database."

    def __init__(self, alarm_id: str, why: str) -> None:
        super().__init__(f"escalation of alarm {alarm_id}: {why}")
        self.alarm_id = alarm_id


class AreaError(CloudError):
    """Root of what can be wrong with a question or an order about areas."""

    hint = "Mend what is named; nothing was changed."


class UnknownPlaceError(AreaError):
    """The registry has no such area or contact.

    Attributes:
        kind: "area" or "contact".
        id: what it was called.
    """

    hint = "List the areas: langyan cloud areas list."

    def __init__(self, kind: str, id_: str) -> None:
        super().__init__(f"no {kind} is called {id_[:80]!r}")
        self.kind = kind
        self.id = id_


class HandoverError(AreaError):
    """A hand-over cannot be as it is asked for."""


class TellingError(CloudError):
    """A message or an event was not sent, or nobody knows whether it was; it is tried again.

    Attributes:
        retry_after_s: how long the receiver asked us to wait; None when it did not say.
        is_receiver: the receiver as a whole is in trouble, not this one message.
    """

    hint = "Try the channel by hand: langyan cloud telling test CHANNEL ADDRESS"

    def __init__(self, why: str, *, retry_after_s: float | None = None, is_receiver: bool = False) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
        self.is_receiver = is_receiver


class BadAddressError(TellingError):
    """A channel cannot send to this address at all; somebody must mend the contact or the channel."""

    hint = "Compare the address with the URL in the channel's environment variable; see docs/telling.md."

    def __init__(self, channel: str, why: str) -> None:
        super().__init__(f"channel {channel}: {why}")
        self.channel = channel


class HookGoneError(TellingError):
    """A web hook answered 410 Gone: it wants no more events."""

    hint = "Change its URL, or enable it again: langyan cloud telling enable NAME"


class UnknownChannelError(TellingError):
    """The settings have no channel, or no web hook, of that name."""

    hint = "See the [[telling.channel]] and [[telling.webhook]] tables of the settings file."

    def __init__(self, name: str) -> None:
        super().__init__(f"the settings have nothing called {name[:80]!r}")
        self.name = name


class SpanError(CloudError):
    """Numbers are asked for a span of time that cannot be counted."""

    hint = "Give an end after the beginning, at most 5 years later."

    def __init__(self, why: str) -> None:
        super().__init__(f"the span of time: {why}")


class GeoError(CloudError):
    """What should be an outline on the map is none."""

    hint = "Draw one closed Polygon without holes (GeoJSON, WGS 84, longitude first)."


class OrderError(CloudError):
    """Root of what can be wrong with orders to gateways, and with the stolen list."""


class BadOrderError(OrderError):
    """An order cannot be kept: its id or its gateway is no id of the contract."""

    hint = "An id is 1 to 64 of A-Z a-z 0-9 _ . -"


class BadStolenError(OrderError):
    """An entry of the stolen list cannot be as it was given.

    Attributes:
        tag: whose.
    """

    hint = "A tag is 1 to 60 of A-Z a-z 0-9 _ . -; a case has at most 64 characters."

    def __init__(self, tag: str, why: str) -> None:
        super().__init__(f"{tag[:80]!r}: {why}")
        self.tag = tag


class StolenFullError(OrderError):
    """The stolen list would have more entries than gateways take; nothing was changed."""

    hint = "Take off what was found, or is too old to be found."

    def __init__(self, count: int, most: int) -> None:
        super().__init__(f"{count} stolen tags are too many: at most {most}")
        self.count = count


class BikeError(CloudError):
    """Root of what can be wrong with bikes."""


class UnknownBikeError(BikeError):
    """No bike has that id, or not where one may look.

    Attributes:
        bike: what was asked for.
    """

    hint = "langyan bikes list shows all."

    def __init__(self, bike: str) -> None:
        super().__init__(f"no bike is called {bike[:80]!r}")
        self.bike = bike


class BikeStateError(BikeError):
    """What was asked for does not fit how the bike stands."""

    hint = "langyan bikes show tells how it stands."


class FireError(CloudError):
    """Root of what can be wrong with a question or an order about fires."""


class UnknownFireError(FireError):
    """No fire of that id was found by towers, or not where one may look."""

    hint = "langyan fire list shows all."

    def __init__(self, fire: str) -> None:
        super().__init__(f"no fire is called {fire[:80]!r}")
        self.fire = fire


class FireRefusedError(FireError):
    """What is asked of a fire does not fit how it stands."""

    hint = "langyan fire show tells how it stands."
