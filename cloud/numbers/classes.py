"""Reporting times by transmission class, in the style of EN 50136-1. Pure.

The reporting time is the time until the desk knows that a path is lost. The values are those usually quoted for the
categories of 2012; the tables of the standard itself were not at hand, and only those of SP6 and DP4 were found
confirmed elsewhere. Check them against the standard before promising anything.
"""

from collections.abc import Mapping

REPORTING_S: Mapping[str, int] = {
    "SP1": 32 * 86_400,
    "SP2": 25 * 3_600,
    "SP3": 30 * 60,
    "SP4": 3 * 60,
    "SP5": 90,
    "SP6": 20,
    "DP1": 25 * 3_600,
    "DP2": 30 * 60,
    "DP3": 3 * 60,
    "DP4": 90,
}
"""Longest time until the loss of the primary path is known, by class."""

TRANSMISSION_DEGRADED_S = 10
TRANSMISSION_MAXIMUM_S = 30
"""Press to desk: above the first degraded, above the second failed (limits of a public test of transmission; EN 50131-1
and GB 26875.1 too ask for 10 s)."""
