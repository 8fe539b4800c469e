"""Who is told by a step, and over what. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from cloud.areas.duty import Contact
from cloud.desk.core import Alarm
from cloud.escalation.plan import Plan, Stage
from cloud.escalation.settings import Fallback
from cloud.telling.queue import Delivery, Kind, delivery_id, facts_of
from contract.alarms import Severity


class Person(Struct, frozen=True):
    """Somebody who is told.

    Attributes:
        contact: their id; None: named by the settings.
        addresses: (channel, address), the preferred first; at least one.
    """

    name: str
    language: str
    addresses: tuple[tuple[str, str], ...]
    contact: str | None = None


class Known(Struct, frozen=True):
    """What is known of people at one moment.

    Attributes:
        duty: who is on duty, by area.
        contacts: by id: those whom plans name, and those who acknowledged.
        contact_of_user: ids of contacts by the names of users.
        fallback: of the settings.
    """

    duty: Mapping[str, Sequence[Contact]]
    contacts: Mapping[str, Contact]
    contact_of_user: Mapping[str, str]
    fallback: Sequence[Fallback]

    def of_stage(self, plan: Plan, stage: Stage) -> list[Person]:
        """Find whom a stage tells: its area's duty, and whom it names; where there is nobody, the fallback."""
        people = _persons(self.contacts[one] for one in stage.contacts if one in self.contacts)
        if stage.area is not None:
            people = _each_once([*self._of_area(plan, stage), *people])
        return people or [_person_of(one) for one in self.fallback]

    def of_acknowledger(self, alarm: Alarm) -> list[Person]:
        """Find who acknowledged; nobody where that user has no contact."""
        contact = self.contact_of_user.get(alarm.acknowledged_by or "", "")
        return _persons([self.contacts[contact]] if contact in self.contacts else [])

    def to_remind(self, plan: Plan, alarm: Alarm) -> list[Person]:
        """Find who acknowledged, and whom the plan's first stage tells."""
        return _each_once([*self.of_acknowledger(alarm), *self.of_stage(plan, plan.stages[0])])

    def _of_area(self, plan: Plan, stage: Stage) -> list[Person]:
        """Who is on duty there; else who was when the alarm was raised; else whoever is nearest on the way up."""
        here = _persons(self.duty.get(stage.area or "", ()))
        here = here or _persons(self.contacts[one] for one in stage.on_duty or () if one in self.contacts)
        if here or stage.area not in plan.line:
            return here
        above = plan.line[plan.line.index(stage.area) + 1 :]
        return next((found for one in above if (found := _persons(self.duty.get(one, ())))), [])


def deliveries(
    people: Iterable[Person],
    alarm: Alarm,
    *,
    kind: Kind,
    now_us: int,
    about: tuple[str | int, ...],
    channels: Sequence[str] = (),
    step: int = 0,
) -> list[Delivery]:
    """Make the messages of one step.

    Args:
        people: who is told.
        alarm: what of.
        kind: why.
        now_us: wall time.
        about: what tells this step from all others of the alarm; with the person and the address it makes the id.
        channels: only over these, where a person has one of them. Without any a critical alarm goes to all addresses
            of a person, and any other to the preferred one.
        step: from 1, for words; 0: no step is meant.
    """
    facts = facts_of(alarm, step=step, by=alarm.acknowledged_by or "")
    return [
        Delivery(
            id=delivery_id(alarm.alarm_id, *about, person.contact or "", channel, address),
            kind=kind,
            severity=alarm.severity,
            channel=channel,
            address=address,
            language=person.language,
            facts=facts,
            created_us=now_us,
            due_us=now_us,
            alarm_id=alarm.alarm_id,
            contact=person.contact,
        )
        for person in people
        for channel, address in _addresses(person, channels, alarm.severity)
    ]


def _addresses(person: Person, channels: Sequence[str], severity: Severity) -> Sequence[tuple[str, str]]:
    if chosen := [one for one in person.addresses if one[0] in channels]:
        return chosen
    return person.addresses if severity is Severity.CRITICAL else person.addresses[:1]


def _persons(contacts: Iterable[Contact]) -> list[Person]:
    """As people to be told; who has no address is nobody."""
    return [
        Person(one.name, one.language, tuple((each.channel, each.address) for each in one.addresses), one.id)
        for one in contacts
        if one.addresses
    ]


def _person_of(fallback: Fallback) -> Person:
    return Person(fallback.name, fallback.language, ((fallback.channel, fallback.address),))


def _each_once(people: Iterable[Person]) -> list[Person]:
    return list({person.contact or person.addresses: person for person in people}.values())
