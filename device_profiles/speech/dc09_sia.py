"""What the two-letter events of SIA mean, by the same kinds as those of Contact ID. Pure data.

Most codes are built alike: the first letter says what is watched, the second what happened to it. The others have a
table. An event that ends something ends every alarm that it may end: a restoral that of the alarm and of the trouble.

Source: SIA DC-03-2017, table A.3, as tabled in siadc09 1.0.1; eavanvalkenburg/pysiaalarm, sia_codes.
"""

from msgspec import Struct

from contract.alarms import Severity
from device_profiles.speech.dc09_codes import BURGLARY_S, CONTACT_ID, PRESS_S, UNKNOWN, Code, Sort

CRITICAL, HIGH, MEDIUM, LOW = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW


class Meaning(Struct, frozen=True):
    """What one event says.

    Attributes:
        code: for people, and what is done with it.
        rules: the alarms that it begins or ends.
        is_on: it begins them; for arming, it closes.
    """

    code: Code
    rules: tuple[str, ...] = ()
    is_on: bool = True


class _Watched(Struct, frozen=True):
    kind: str
    severity: Severity
    en: str
    zh: str
    ends_after_s: float | None = None


_WATCHED: dict[str, _Watched] = {
    "B": _Watched("burglary", HIGH, "Burglary", "盗警", BURGLARY_S),
    "F": _Watched("fire", CRITICAL, "Fire", "火警"),
    "G": _Watched("gas", CRITICAL, "Gas", "燃气"),
    "H": _Watched("panic", CRITICAL, "Hold-up", "劫持", PRESS_S),
    "K": _Watched("fire", CRITICAL, "Heat", "感温"),
    "M": _Watched("medical", CRITICAL, "Medical", "医疗", PRESS_S),
    "P": _Watched("panic", CRITICAL, "Panic", "紧急", PRESS_S),
    "Q": _Watched("medical", CRITICAL, "Emergency", "求助", PRESS_S),
    "S": _Watched("fire", CRITICAL, "Sprinkler", "喷淋"),
    "T": _Watched("tamper", HIGH, "Tamper", "防拆"),
    "U": _Watched("alarm", HIGH, "Untyped zone", "未定义防区", BURGLARY_S),
    "W": _Watched("water", HIGH, "Water", "水警"),
    "Z": _Watched("temperature", MEDIUM, "Freeze", "低温"),
}
# What happened: which alarms of the watched thing it begins or ends, by their second letter.
_HAPPENED: dict[str, tuple[str, bool]] = {
    "A": ("a", True),
    "H": ("a", False),
    "R": ("at", False),
    "T": ("t", True),
    "J": ("t", False),
    "B": ("b", True),
    "U": ("b", False),
    "S": ("s", True),
}
_SEVERE = frozenset("FHPQM")


def _built(code: str) -> Meaning | None:
    watched, happened = _WATCHED.get(code[0]), _HAPPENED.get(code[1])
    if watched is None or happened is None:
        return None
    letters, is_on = happened
    rules = tuple(f"{code[0].lower()}{letter}" for letter in letters)
    severity = HIGH if code[0] in _SEVERE else MEDIUM
    if letters[0] == "a":
        en, zh = f"{watched.en} alarm", f"{watched.zh}报警"
        made = Code(en, zh, Sort.ALARM, watched.kind, watched.severity, watched.ends_after_s)
    elif letters == "b":
        made = Code(f"{watched.en} zone bypassed", f"{watched.zh}防区旁路", Sort.ALARM, "bypass", LOW)
    else:
        made = Code(f"{watched.en} zone in trouble", f"{watched.zh}防区故障", Sort.ALARM, "fault", severity)
    return Meaning(made, rules, is_on)


def _pair(begins: str, ends: str, like: str) -> dict[str, Meaning]:
    """Make an alarm that begins and ends with a code each and is like one of Contact ID."""
    code = CONTACT_ID[like]
    return {begins: Meaning(code, (begins.lower(),)), ends: Meaning(code, (begins.lower(),), is_on=False)}


def _arming(codes: str, like: str, *, is_on: bool) -> dict[str, Meaning]:
    return {code: Meaning(CONTACT_ID[like], (), is_on) for code in codes.split()}


def _noted(codes: str, like: str) -> dict[str, Meaning]:
    return {code: Meaning(CONTACT_ID[like]) for code in codes.split()}


_TABLE: dict[str, Meaning] = {
    **_pair("AT", "AR", "301"),
    **_pair("YP", "YQ", "314"),
    **_pair("YI", "YJ", "312"),
    **_pair("YA", "YH", "320"),
    **_pair("LT", "LR", "351"),
    **_pair("NT", "NR", "350"),
    **_pair("XT", "XR", "384"),
    **_pair("XS", "XJ", "341"),
    **_pair("XQ", "XH", "344"),
    **_pair("ES", "EJ", "145"),
    **_pair("EM", "EN", "333"),
    **_pair("ET", "ER", "333"),
    **_pair("IA", "IR", "300"),
    **_pair("BD", "BE", "380"),
    **_arming("CA CF CG CJ CK CL CP CQ CR CS CZ", "400", is_on=True),
    **_arming("OA OG OJ OK OP OQ OR OS OZ", "400", is_on=False),
    **_arming("NF NL NM", "441", is_on=True),
    **_arming("TS", "607", is_on=True),
    **_arming("TE", "607", is_on=False),
    **_noted("RP RY TX", "602"),
    **_noted("RX BX FX GX TP TC", "601"),
    **_noted("BC FC OC AB", "406"),
    **_noted("RR RN YW", "305"),
    **_noted("YG LS RS JV JX JY", "306"),
    **_noted("LB RB", "627"),
    **_noted("LX", "628"),
    **_noted("JT JD", "625"),
    "YT": Meaning(CONTACT_ID["302"], ("yt",)),
    "YM": Meaning(CONTACT_ID["311"], ("ym",)),
    "YR": Meaning(CONTACT_ID["302"], ("yt", "ym"), is_on=False),
    "YC": Meaning(CONTACT_ID["354"], ("yc",)),
    "YS": Meaning(CONTACT_ID["350"], ("ys",)),
    "YK": Meaning(CONTACT_ID["350"], ("yc", "ys"), is_on=False),
    "BV": Meaning(CONTACT_ID["139"], ("bv",)),
    "HV": Meaning(CONTACT_ID["129"], ("hv",)),
    "BM": Meaning(CONTACT_ID["139"], ("bm",)),
    "BG": Meaning(CONTACT_ID["138"], ("bg",)),
    "FG": Meaning(CONTACT_ID["118"], ("fg",)),
    "FM": Meaning(CONTACT_ID["110"], ("fm",)),
    "BZ": Meaning(CONTACT_ID["381"], ("bz",)),
    "EA": Meaning(CONTACT_ID["374"], ("ea",)),
    "EE": Meaning(CONTACT_ID["374"], ("ee",)),
    "DF": Meaning(Code("Door forced", "门被强行打开", Sort.ALARM, "burglary", HIGH, BURGLARY_S), ("df",)),
    "JA": Meaning(CONTACT_ID["461"], ("ja",)),
    "CI": Meaning(CONTACT_ID["454"], ("ci",)),
    "YX": Meaning(CONTACT_ID["616"], ("yx",)),
    "YZ": Meaning(CONTACT_ID["616"], ("yx",), is_on=False),
}
USERS = frozenset(
    "BC CE CF CJ CK CL CP CQ CR DA DB EE JD JH JP JS JT JV JX JY JZ OC OH OJ OK OL OP OQ OR OT RX CG".split()
)
"""Events whose number is a user, not a zone."""


def sia_meaning(code: str) -> Meaning:
    """Say what two capital letters mean; what is in no table is noted, and an alarm if it ends like one."""
    meaning = _TABLE.get(code) or _built(code)
    if meaning is None and code.endswith("A"):
        return Meaning(Code("Alarm", "报警", Sort.ALARM, "alarm", HIGH, BURGLARY_S), (code.lower(),))
    return meaning or Meaning(UNKNOWN)
