"""Alarms of the gateway's own: what is wrong with it, where nobody stands beside it. Pure."""

from collections.abc import Collection, Mapping

from msgspec import Struct

from contract.alarms import AlarmEvent, Severity, Transition
from contract.ids import GATEWAY_DEVICE
from device_profiles.model import Text

OUTBOX_POINT = "outbox"


class _Kind(Struct, frozen=True):
    severity: Severity
    text: Text


_KINDS = {
    "outbox-full": _Kind(
        Severity.HIGH,
        {
            "en": "The disk is full: readings are kept in memory only",
            "zh": "磁盘已满：读数仅保存在内存中",
        },
    ),
    "outbox-unwritable": _Kind(
        Severity.HIGH,
        {
            "en": "The disk cannot be written: nothing is kept past a restart",
            "zh": "磁盘无法写入：重启后数据将丢失",
        },
    ),
    "outbox-damaged": _Kind(
        Severity.MEDIUM,
        {
            "en": "The outbox file was damaged and set aside; a new one was begun",
            "zh": "发件箱文件损坏，已移开并新建",
        },
    ),
}

KINDS = frozenset(_KINDS)
"""The kinds there are; each is also the name of its rule."""


class OwnAlarms:
    """Which of the gateway's own alarms stand."""

    def __init__(self, gateway: str, *, active: Mapping[str, int]) -> None:
        """Take up what stood at the last run: it ends when its cause is seen to be over.

        Args:
            gateway: id of the gateway.
            active: source -> raised_at_us of all alarms that stood.
        """
        self._gateway = gateway
        self._raised_at_us = {
            kind: active[source] for kind in _KINDS if (source := f"{gateway}/{_place(kind)}") in active
        }

    def set(self, kind: str, *, stands: bool, at_us: int) -> AlarmEvent | None:
        """Note whether a condition stands; the event when that is news.

        Args:
            kind: one of `KINDS`.
            stands: whether it does.
            at_us: the clock that samples are stamped with.
        """
        raised_at_us = self._raised_at_us.get(kind)
        if stands == (raised_at_us is not None):
            return None
        if raised_at_us is None:
            raised_at_us = self._raised_at_us[kind] = at_us
        else:
            del self._raised_at_us[kind]
        return AlarmEvent(
            gateway=self._gateway,
            device=GATEWAY_DEVICE,
            point=OUTBOX_POINT,
            rule=kind,
            transition=Transition.RAISED if stands else Transition.CLEARED,
            raised_at_us=raised_at_us,
            at_us=at_us,
            kind=kind,
            severity=_KINDS[kind].severity,
            text=_KINDS[kind].text,
        )

    def settle(self, faults: Collection[str], at_us: int) -> list[AlarmEvent]:
        """End what stands without its condition: whoever would have told that it is over was stopped before.

        Args:
            faults: the kinds whose condition lasts, of a disk that has been used since the start.
            at_us: as for `set`.
        """
        over = [kind for kind in self._raised_at_us if kind not in faults]
        return [event for kind in over if (event := self.set(kind, stands=False, at_us=at_us)) is not None]


def _place(kind: str) -> str:
    return f"{GATEWAY_DEVICE}/{OUTBOX_POINT}/{kind}"
