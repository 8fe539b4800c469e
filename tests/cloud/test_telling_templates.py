"""What people read: both languages, three markups, short forms, and no word from outside that does anything."""

import html
import re
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.desk.core import ClosingCode
from cloud.telling.names import Names
from cloud.telling.queue import Facts, Kind
from cloud.telling.settings import Markup
from cloud.telling.templates import ADVICE, Style, Told, clean, render, render_many
from contract.alarms import Mode, Severity

ZONE = ZoneInfo("Asia/Shanghai")
PRESSED_US = 1_795_341_791_000_000  # 2026-11-22 18:03:11 in Shanghai
FACTS = Facts(
    alarm_id="a1b2c3",
    alarm_kind="panic",
    text={"en": "Panic button pressed", "zh": "报警柱被按下"},
    raised_at_us=PRESSED_US,
    gateway="gw-1",
    device="post-7",
    point="button",
    site="school-17",
    area="320508",
)
NAMES = Names(
    areas=("平江街道", "姑苏区", "苏州市"),
    site="第十七中学",
    address="人民路 100 号",
    device="七号报警柱",
    place="北门外",
    latitude_deg=31.3,
    longitude_deg=120.6,
)
LINK = "https://desk.example.org/a/x~y~z"


def style(language: str = "zh", markup: Markup = Markup.TEXT, **more: object) -> Style:
    given: dict[str, object] = {"short": False, "max_chars": 2_000, "zone": ZONE} | more
    return Style(language=language, markup=markup, **given)  # type: ignore[arg-type]


def told(kind: Kind = Kind.ALARM, *, facts: Facts = FACTS, names: Names = NAMES, link: str = LINK) -> Told:
    return Told(kind, Severity.CRITICAL, facts, names, link)


def test_an_alarm_in_chinese() -> None:
    message = render(told(), style())
    assert message.title == "【紧急】报警：报警柱被按下 (第十七中学)"
    assert message.body.splitlines() == [
        "事件：报警柱被按下",
        "级别：紧急",
        "类型：紧急按钮",
        "场所：第十七中学",
        "地址：人民路 100 号",
        "设备：七号报警柱 · 北门外 · post-7",
        "区域：苏州市 / 姑苏区 / 平江街道",
        "位置：31.300000, 120.600000",
        "触发时间：2026-11-22 18:03:11 +0800",
        "警情编号：a1b2c3",
        "请确认，并派人前往。",
        "确认：https://desk.example.org/a/x~y~z",
    ]


def test_an_alarm_in_english() -> None:
    message = render(told(), style("en"))
    assert message.title == "[critical] Alarm: Panic button pressed (第十七中学)"
    lines = message.body.splitlines()
    assert lines[0] == "What: Panic button pressed"
    assert "Pressed: 2026-11-22 18:03:11 +0800" in lines
    assert lines[-1] == f"Acknowledge: {LINK}"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.EVENT])
@pytest.mark.parametrize("markup", Markup)
def test_every_kind_has_words_in_both_languages(kind: Kind, language: str, markup: Markup) -> None:
    message = render(told(kind), style(language, markup))
    has_chinese_words = bool(re.search("[\u4e00-\u9fff]", message.title.replace("第十七中学", "")))
    assert has_chinese_words == (language == "zh")
    assert ADVICE[kind]
    assert len(message.title) + len(message.body) <= 2_000


def test_each_kind_is_told_from_the_others_by_its_title() -> None:
    titles = {render(told(kind), style()).title for kind in Kind}
    assert len(titles) == len(Kind)


def test_marks_of_late_test_and_more_presses() -> None:
    facts = msgspec.structs.replace(FACTS, late=True, mode=Mode.DRILL, triggers=3, step=2, why="电话无人接听")
    message = render(told(Kind.ESCALATED, facts=facts), style())
    assert message.title.startswith("【紧急】【演练】")
    for line in ("触发次数：3", "升级步骤：2", "说明：电话无人接听"):
        assert line in message.body
    assert "迟报" in message.body


def test_a_closing_says_what_it_turned_out_to_be_and_by_whom() -> None:
    facts = msgspec.structs.replace(FACTS, closing_code=ClosingCode.ACCIDENTAL, by="王芳", why="学生误按")
    body = render(told(Kind.CLOSED, facts=facts, link=""), style()).body
    assert "结论：误触发" in body
    assert "操作人：王芳" in body
    assert "https://" not in body


def test_a_map_link_is_the_operators() -> None:
    look = style(map_url="https://maps.example/?q={latitude_deg},{longitude_deg}")
    assert "位置：https://maps.example/?q=31.3,120.6" in render(told(), look).body


def test_where_nobody_wrote_anything_down_ids_are_told() -> None:
    facts = Facts(alarm_id="a", alarm_kind="strange-kind", gateway="gw-9", device="d-1", raised_at_us=PRESSED_US)
    message = render(told(facts=facts, names=Names(), link=""), style("en"))
    assert message.title == "[critical] Alarm: strange-kind (gw-9)"
    assert "Device: d-1" in message.body
    assert "Site" not in message.body


def test_a_short_message_is_one_line_and_keeps_its_link() -> None:
    short = style(short=True, max_chars=70)
    message = render(told(link="https://d.cn/a/x"), short)
    assert message.title == ""
    assert len(message.body) <= 70
    assert message.body.startswith("【紧急】报警：报警柱被按下")
    assert message.body.endswith(" https://d.cn/a/x")
    # A link that would take most of the room is left out: where and what comes first.
    assert "https" not in render(told(link=f"https://desk.example.org/a/{'x' * 60}"), short).body


def test_what_does_not_fit_goes_from_the_end_and_the_link_stays() -> None:
    message = render(told(), style(max_chars=160))
    assert len(message.title) + len(message.body) <= 160
    assert message.body.startswith("事件：报警柱被按下")
    assert message.body.endswith(LINK)


EVIL = '<at user_id="all">所有人</at> [x](https://evil) **b** `c` </p><script>\r\nBcc: x\x00\u202e\u200b'


@pytest.mark.parametrize("language", ["zh", "en"])
def test_html_has_no_tag_but_ours(language: str) -> None:
    facts = msgspec.structs.replace(FACTS, text={language: EVIL}, why=EVIL)
    message = render(told(facts=facts, names=Names(site=EVIL, place=EVIL)), style(language, Markup.HTML))
    assert set(re.findall(r"<(/?\w+)", message.body)) == {"p", "/p", "b", "/b", "a", "/a"}
    assert re.findall(r'href="([^"]*)"', message.body) == [LINK]
    assert html.escape(clean(EVIL)) in message.body
    assert "\n" not in message.title


@pytest.mark.parametrize("markup", [Markup.TEXT, Markup.MARKDOWN])
def test_text_and_markdown_have_no_markup_from_outside(markup: Markup) -> None:
    facts = msgspec.structs.replace(FACTS, text={"zh": EVIL}, why=EVIL, by=EVIL)
    message = render(told(facts=facts, names=Names(site=EVIL)), style(markup=markup))
    whole = message.title + message.body
    assert "<" not in whole
    if markup is Markup.MARKDOWN:
        assert re.findall(r"\[(.*?)\]\((.*?)\)", whole) == [("确认", LINK)]
        assert "`" not in whole


@given(st.text(max_size=400))
def test_cleaned_text_is_one_bounded_line(text: str) -> None:
    cleaned = clean(text, 100)
    assert len(cleaned) <= 100
    assert cleaned.splitlines() in ([], [cleaned])
    assert clean(cleaned, 100) == cleaned
    cleaned.encode()


@given(
    text=st.text(max_size=200),
    markup=st.sampled_from([Markup.TEXT, Markup.MARKDOWN]),
    short=st.booleans(),
    max_chars=st.integers(40, 300),
    count=st.integers(1, 12),
    language=st.sampled_from(["zh", "en", "de", ""]),
)
def test_no_message_is_longer_than_its_channel_takes(
    *, text: str, markup: Markup, short: bool, max_chars: int, count: int, language: str
) -> None:
    look = style(language, markup, short=short, max_chars=max_chars)
    facts = msgspec.structs.replace(FACTS, text={"en": text, "zh": text}, why=text)
    one = render(told(facts=facts), look)
    assert len(one.title) + len(one.body) <= max_chars
    several, told_count = render_many([told(facts=facts)] * count, look)
    assert len(several.title) + len(several.body) <= max_chars
    assert 1 <= told_count <= count


def test_several_are_a_line_each_and_those_left_are_counted() -> None:
    facts = [msgspec.structs.replace(FACTS, text={"zh": f"报警 {n}"}) for n in range(9)]
    message, count = render_many([told(facts=one, link="") for one in facts], style(max_chars=220))
    assert 1 < count < 9
    assert message.title == f"{count} 条消息"
    assert [f"报警 {n}" in message.body for n in range(9)] == [n < count for n in range(9)]
