"""What an event of Contact ID means to those who must act. Pure data.

Source: SIA DC-05-2016, appendix C, as tabled in siadc09 1.0.1; eavanvalkenburg/pysiaalarm, adm_mapping;
captainwong/ademco_hb docs/README.md, 3.
"""

from enum import StrEnum

from msgspec import Struct

from contract.alarms import Severity

PRESS_S = 60.0
"""A press stands so long where the host never says that it is over: hold-up buttons have no rest position."""
BURGLARY_S = 600.0
"""The same for a detector that only says that it has seen something."""

CRITICAL, HIGH, MEDIUM, LOW = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW


class Sort(StrEnum):
    """What is done with an event: an alarm, arming, a walk test that begins or ends, or nothing but noting it."""

    ALARM = "alarm"
    ARMING = "arming"
    STAY = "stay"
    WALK_TEST = "walk_test"
    NOTE = "note"


class Code(Struct, frozen=True):
    """One event code.

    Attributes:
        en, zh: for people.
        sort: what is done with it; the rest matters to alarms only.
        kind, severity: of the alarm.
        ends_after_s: how long it stands without being said again; None: until the host says that it is over.
        is_user: its number is a user, not a zone.
    """

    en: str
    zh: str
    sort: Sort = Sort.NOTE
    kind: str = "event"
    severity: Severity = LOW
    ends_after_s: float | None = None
    is_user: bool = False


def _press(en: str, zh: str, kind: str = "panic", *, is_user: bool = False) -> Code:
    return Code(en, zh, Sort.ALARM, kind, CRITICAL, PRESS_S, is_user)


def _seen(en: str, zh: str, severity: Severity = HIGH) -> Code:
    return Code(en, zh, Sort.ALARM, "burglary", severity, BURGLARY_S)


def _alarm(kind: str, severity: Severity, en: str, zh: str) -> Code:
    return Code(en, zh, Sort.ALARM, kind, severity)


def _fault(en: str, zh: str, severity: Severity = MEDIUM) -> Code:
    return _alarm("fault", severity, en, zh)


def _arming(en: str, zh: str, sort: Sort = Sort.ARMING) -> Code:
    return Code(en, zh, sort, is_user=True)


def _note(en: str, zh: str) -> Code:
    return Code(en, zh)


CONTACT_ID: dict[str, Code] = {
    "100": _press("Medical call", "医疗求助", "medical"),
    "101": _press("Personal emergency", "个人求助", "medical"),
    "102": _press("Failed to report in", "未按时报到", "medical"),
    "103": _press("Fall detected", "跌倒", "medical"),
    "110": _alarm("fire", CRITICAL, "Fire", "火警"),
    "111": _alarm("smoke", CRITICAL, "Smoke", "烟雾报警"),
    "112": _alarm("fire", CRITICAL, "Combustion", "燃烧报警"),
    "113": _alarm("fire", CRITICAL, "Water flow of sprinklers", "喷淋水流报警"),
    "114": _alarm("fire", CRITICAL, "Heat", "感温报警"),
    "115": _alarm("fire", CRITICAL, "Fire call point", "手动火灾报警按钮"),
    "116": _alarm("smoke", CRITICAL, "Smoke in a duct", "风管烟雾报警"),
    "117": _alarm("fire", CRITICAL, "Flame", "火焰报警"),
    "118": _alarm("smoke", HIGH, "Fire detector near its alarm", "火灾探测器预警"),
    "120": _press("Panic button", "紧急报警"),
    "121": _press("Duress", "胁迫报警", "duress", is_user=True),
    "122": _press("Silent hold-up", "静音劫持报警"),
    "123": _press("Audible hold-up", "有声劫持报警"),
    "124": _press("Duress, access granted", "胁迫进入", "duress"),
    "125": _press("Duress, egress granted", "胁迫外出", "duress"),
    "126": _press("Hold-up suspected", "疑似劫持", is_user=True),
    "129": _press("Hold-up verified by the host", "主机确认劫持"),
    "130": _seen("Burglary", "盗警"),
    "131": _seen("Perimeter", "周界报警"),
    "132": _seen("Interior", "室内报警"),
    "133": _seen("24 hour zone", "24小时防区报警"),
    "134": _seen("Entry or exit", "出入口报警"),
    "135": _seen("Day and night zone", "日夜防区报警"),
    "136": _seen("Outdoor", "室外报警"),
    "137": _alarm("tamper", HIGH, "Tamper", "防拆报警"),
    "138": _seen("Detector near its alarm", "探测器预警", MEDIUM),
    "139": _seen("Intrusion verified", "入侵已确认", CRITICAL),
    "140": _alarm("alarm", HIGH, "General alarm", "一般报警"),
    "141": _alarm("tamper", HIGH, "Loop open while armed", "布防时回路断开"),
    "142": _alarm("tamper", HIGH, "Loop shorted while armed", "布防时回路短路"),
    "143": _fault("Expansion module failed while armed", "布防时扩展模块故障", HIGH),
    "144": _alarm("tamper", HIGH, "Detector tampered with", "探测器防拆"),
    "145": _alarm("tamper", HIGH, "Expansion module tampered with", "扩展模块防拆"),
    "146": _seen("Silent burglary", "静音盗警"),
    "147": _fault("Detector lost while armed", "布防时探测器失联", HIGH),
    "150": _alarm("alarm", HIGH, "24 hour zone, no burglary", "24小时非盗警防区"),
    "151": _alarm("gas", CRITICAL, "Gas", "燃气报警"),
    "152": _alarm("temperature", MEDIUM, "Refrigeration", "冷藏报警"),
    "153": _alarm("temperature", MEDIUM, "Loss of heat", "供暖中断"),
    "154": _alarm("water", HIGH, "Water leak", "漏水报警"),
    "155": _seen("Foil broken", "箔条断裂"),
    "156": _fault("Zone in trouble by day", "日间防区故障"),
    "157": _alarm("gas", MEDIUM, "Bottled gas low", "瓶装气不足"),
    "158": _alarm("temperature", HIGH, "Temperature too high", "温度过高"),
    "159": _alarm("temperature", MEDIUM, "Temperature too low", "温度过低"),
    "161": _fault("Loss of air flow", "气流中断"),
    "162": _alarm("gas", CRITICAL, "Carbon monoxide", "一氧化碳报警"),
    "163": _alarm("water", MEDIUM, "Tank level", "液位报警"),
    "200": _fault("Fire supervisory", "消防监管", HIGH),
    "201": _fault("Fire water pressure low", "消防水压低", HIGH),
    "203": _fault("Sprinkler valve", "喷淋阀门", HIGH),
    "204": _fault("Fire water level low", "消防水位低", HIGH),
    "205": _fault("Fire pump runs", "消防泵启动", HIGH),
    "206": _fault("Fire pump failed", "消防泵故障", HIGH),
    "300": _fault("System trouble", "系统故障"),
    "301": _alarm("power", MEDIUM, "Mains lost", "交流电断电"),
    "302": _alarm("battery", MEDIUM, "Battery low", "电池低电压"),
    "303": _fault("Memory fault", "内存故障"),
    "304": _fault("Program memory fault", "程序存储故障"),
    "305": _note("Host restarted", "主机重启"),
    "306": _note("Settings changed", "设置已更改"),
    "307": _fault("Self-test failed", "自检失败"),
    "308": _fault("Host shut down", "主机关机", HIGH),
    "309": _alarm("battery", MEDIUM, "Battery test failed", "电池测试失败"),
    "310": _fault("Ground fault", "接地故障"),
    "311": _alarm("battery", HIGH, "Battery missing or dead", "电池缺失或失效"),
    "312": _fault("Power supply overloaded", "电源过载"),
    "313": _note("Reset by an engineer", "工程师复位"),
    "314": _alarm("power", HIGH, "Power supply failed", "电源故障"),
    "316": _alarm("tamper", HIGH, "System tampered with", "系统防拆"),
    "317": _alarm("tamper", HIGH, "Host tampered with", "主机防拆"),
    "320": _fault("Sounder or relay", "警号或继电器故障"),
    "321": _fault("Siren 1", "警号1故障"),
    "322": _fault("Siren 2", "警号2故障"),
    "333": _fault("Module failed", "模块故障"),
    "334": _fault("Repeater failed", "中继器故障"),
    "337": _alarm("power", MEDIUM, "Module without power", "模块直流断电"),
    "338": _alarm("battery", MEDIUM, "Module battery low", "模块电池低电压"),
    "341": _alarm("tamper", HIGH, "Module tampered with", "模块防拆"),
    "342": _alarm("power", MEDIUM, "Module mains lost", "模块交流断电"),
    "344": _alarm("jamming", HIGH, "Radio jammed", "无线干扰"),
    "350": _alarm("communication", HIGH, "Communication trouble", "通讯故障"),
    "351": _alarm("communication", MEDIUM, "Line 1 lost", "线路1故障"),
    "352": _alarm("communication", MEDIUM, "Line 2 lost", "线路2故障"),
    "353": _alarm("communication", MEDIUM, "Long range radio fault", "远程无线故障"),
    "354": _alarm("communication", HIGH, "An event could not be sent", "事件上报失败"),
    "355": _alarm("communication", HIGH, "Radio supervision lost", "无线监管丢失"),
    "356": _alarm("communication", HIGH, "Polling lost", "轮询丢失"),
    "370": _fault("Protection loop", "保护回路故障"),
    "371": _fault("Protection loop open", "保护回路断开"),
    "372": _fault("Protection loop shorted", "保护回路短路"),
    "373": _fault("Fire zone in trouble", "火警防区故障", HIGH),
    "374": _seen("Exit error", "外出错误"),
    "375": _fault("Panic zone in trouble", "紧急防区故障", HIGH),
    "376": _fault("Hold-up zone in trouble", "劫持防区故障", HIGH),
    "380": _fault("Detector in trouble", "探测器故障"),
    "381": _fault("Radio detector lost", "无线探测器失联", HIGH),
    "382": _fault("Wired detector lost", "总线探测器失联", HIGH),
    "383": _alarm("tamper", HIGH, "Detector tampered with", "防区防拆"),
    "384": _alarm("battery", MEDIUM, "Detector battery low", "探测器电池低电压"),
    "385": _fault("Smoke detector too sensitive", "烟感灵敏度过高"),
    "386": _fault("Smoke detector not sensitive enough", "烟感灵敏度过低"),
    "389": _fault("Detector self-test failed", "探测器自检失败"),
    "391": _fault("Detector idle for too long", "探测器长时间无动作"),
    "393": _fault("Detector needs maintenance", "探测器需维护", LOW),
    "394": _fault("Carbon monoxide detector must be replaced", "一氧化碳探测器需更换"),
    "400": _arming("Opened or closed", "撤布防"),
    "401": _arming("Opened or closed by a user", "用户撤布防"),
    "402": _arming("Group opened or closed", "分组撤布防"),
    "403": _arming("Opened or closed automatically", "自动撤布防"),
    "404": _arming("Opened or closed late", "延迟撤布防"),
    "405": _arming("Opening or closing deferred", "推迟撤布防"),
    "406": _note("Cancelled by a user", "用户取消报警"),
    "407": _arming("Opened or closed from afar", "远程撤布防"),
    "408": _arming("Quick arm", "快速布防"),
    "409": _arming("Opened or closed by key", "钥匙撤布防"),
    "441": _arming("Armed stay", "留守布防", Sort.STAY),
    "442": _arming("Armed stay by key", "钥匙留守布防", Sort.STAY),
    "444": _arming("Armed for the night", "夜间布防", Sort.STAY),
    "451": _arming("Opened or closed early", "提前撤布防"),
    "452": _arming("Opened or closed late", "逾时撤布防"),
    "454": Code("Failed to arm", "布防失败", Sort.ALARM, "event", LOW, BURGLARY_S, is_user=True),
    "455": Code("Automatic arming failed", "自动布防失败", Sort.ALARM, "event", LOW, BURGLARY_S, is_user=True),
    "456": _arming("Armed in part", "部分布防", Sort.STAY),
    "461": Code("Wrong code entered", "密码错误", Sort.ALARM, "event", LOW, BURGLARY_S),
    "463": _arming("Armed again after an alarm", "报警后重新布防"),
    "521": _alarm("bypass", MEDIUM, "Siren 1 disabled", "警号1已禁用"),
    "522": _alarm("bypass", MEDIUM, "Siren 2 disabled", "警号2已禁用"),
    "551": _alarm("bypass", MEDIUM, "Dialler disabled", "拨号器已禁用"),
    "552": _alarm("bypass", MEDIUM, "Radio transmitter disabled", "无线发射器已禁用"),
    "570": _alarm("bypass", LOW, "Bypassed", "旁路"),
    "571": _alarm("bypass", MEDIUM, "Fire zone bypassed", "火警防区旁路"),
    "572": _alarm("bypass", MEDIUM, "24 hour zone bypassed", "24小时防区旁路"),
    "573": _alarm("bypass", LOW, "Burglary zone bypassed", "盗警防区旁路"),
    "574": _alarm("bypass", LOW, "Group bypassed", "分组旁路"),
    "575": _alarm("bypass", LOW, "Bypassed after many alarms", "频繁报警自动旁路"),
    "601": _note("Manual test", "手动测试"),
    "602": _note("Periodic test", "定期测试"),
    "603": _note("Periodic radio test", "定期无线测试"),
    "607": Code("Walk test", "步行测试", Sort.WALK_TEST, is_user=True),
    "608": _note("Periodic test, trouble present", "定期测试，系统有故障"),
    "611": _note("Point tested", "测试点正常"),
    "612": _note("Point not tested", "测试点未测试"),
    "616": _fault("Service requested", "请求维修", LOW),
    "624": _note("Event log overflowed", "事件记录溢出"),
    "625": _note("Clock set", "时间已设置"),
    "626": _fault("Clock inaccurate", "时间不准", LOW),
    "627": _note("Programming begun", "进入编程"),
    "628": _note("Programming ended", "退出编程"),
    "654": _note("System inactive", "系统无活动"),
}
"""By the three digits of the event."""

GROUPS: dict[str, Code] = {
    "1": Code("Alarm", "报警", Sort.ALARM, "alarm", HIGH, BURGLARY_S),
    "2": _fault("Supervisory", "监管", HIGH),
    "3": _fault("Trouble", "故障"),
    "7": Code("Event of the host's own", "主机自定义事件", Sort.ALARM, "event", LOW, BURGLARY_S),
}
"""By the first digit, for codes that are in no table: what nobody knows is still said. Other groups are noted."""

UNKNOWN = _note("Other event", "其他事件")

HENGBO: dict[str, Code] = CONTACT_ID | {
    "113": _alarm("water", HIGH, "Flooding", "水警"),
    "134": Code("Doorbell", "门铃", Sort.NOTE),
    "311": _alarm("battery", HIGH, "Battery broken", "坏电"),
    "381": _fault("Detector without effect", "探测器失效", HIGH),
    "387": _fault("Blinded by strong light", "强光干扰"),
    "393": _fault("Detector lost", "探测器失联", HIGH),
    "485": _fault("RS-485 line lost", "485断开", HIGH),
    "700": _alarm("communication", MEDIUM, "Link hung", "链路挂起"),
    "701": Code("Wrong code for disarming", "撤防密码错误", Sort.ALARM, "event", LOW, BURGLARY_S),
    "702": _fault("Sub-unit in trouble", "分防区异常"),
    "703": _alarm("power", MEDIUM, "Sub-unit power", "分防区电源异常"),
    "704": _note("Serial pass-through", "串口透传"),
    "705": _note("Query", "查询"),
    "706": _note("Settings written", "写入主机信息"),
    "709": _press("SOS from the phone app", "手机用户SOS", is_user=True),
    "710": _note("Factory settings restored", "恢复出厂设置"),
    "711": Code("Cancelled from the phone app", "手机用户消警", is_user=True),
    "712": _note("Setting mode", "设置状态"),
    "713": _note("Factory settings restored", "恢复出厂设置"),
    "756": _note("Kind of SIM card", "SIM卡类型"),
    "798": _note("Asks for the host type", "索要主机类型"),
    "799": _note("Signal strength", "信号强度变化"),
}
"""Hengbo hosts: the maker's own codes, and some of the standard's with another meaning."""

HENGBO_TYPES = {
    "707": "net-module",
    "717": "gprs",
    "727": "lcd",
    "737": "wired",
    "747": "wifi",
    "757": "three-section",
    "767": "iot-card",
    "777": "true-colour",
    "787": "simple-iot-card",
    "797": "gprs-phone",
}
"""What a Hengbo host says that it is, by event."""


def contact_code(event: str, *, is_hengbo: bool) -> Code:
    """Say what an event of three digits means; one that is in no table means what its group does."""
    if is_hengbo and event in HENGBO_TYPES:
        return UNKNOWN
    table = HENGBO if is_hengbo else CONTACT_ID
    return table.get(event) or GROUPS.get(event[0], UNKNOWN)
