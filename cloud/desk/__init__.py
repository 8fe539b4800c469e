"""The alarm desk: alarm events from the broker into one row an open alarm, and what people do with it."""

from cloud.desk.core import Alarm, ClosingCode, State
from cloud.desk.operations import acknowledge, close, find_alarm, list_alarms
from cloud.desk.shell import run_desk

__all__ = ["Alarm", "ClosingCode", "State", "acknowledge", "close", "find_alarm", "list_alarms", "run_desk"]
