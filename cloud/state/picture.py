"""What stands where, as one worker last read it: shared by what says how alarms stand and what says how things do."""

from cloud.state.city import City


class Picture:
    """The city at the moment of its last reading.

    Attributes:
        city: the newest.
        audited: id of the newest row of the audit when the registry was read; a change of it is noted there.
        imports: how often the registry was read again because it was changed: then everything is to be said again.
    """

    def __init__(self, city: City, *, audited: int) -> None:
        self.city = city
        self.audited = audited
        self.imports = 0

    def replace(self, other: "Picture") -> None:
        """Become another, of a registry that was changed."""
        self.city, self.audited = other.city, other.audited
        self.imports += 1
