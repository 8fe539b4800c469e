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


class AlreadyClosedError(AlarmError):
    """The alarm is closed; it can no longer be acknowledged or closed."""

    hint = "A new raise of the same source opens a new alarm."

    def __init__(self, alarm_id: str, closed_by: str | None) -> None:
        super().__init__(f"alarm {alarm_id} was closed by {closed_by or 'nobody known'}")
        self.alarm_id = alarm_id
