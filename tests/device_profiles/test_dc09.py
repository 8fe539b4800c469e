"""The conversation of DC-09: what is acknowledged when, what is refused how, and which repeat is no second alarm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.speech.dc09 import MAX_WAITING
from device_profiles.speech.dc09_body import write_time
from device_profiles.speech.dc09_crypto import Cipher, KeyFaultError, read_key
from device_profiles.speech.dc09_memory import MAX_STRANGERS, PENDING_S, REPEAT_S, STRANGERS_S, Dc09Shared
from device_profiles.speech.said import Speaker
from simulators.talkers.dc09 import wrap
from tests.device_profiles.dc09_rig import WALL_US, Rig

KEYS = {"AES-128": b"0123456789abcdef", "AES-192": b"0123456789abcdef01234567", "AES-256": b"hex:" + b"5A" * 32}
PANIC = b'\nA5D7003B"ADM-CID"0001L0#1234[#1234|1120 01 007]_14:12:04,09-25-2011\r'


def panic(sequence: str = "0001", *, zone: int = 7, stamp: str = "") -> bytes:
    return wrap(f'"ADM-CID"{sequence}L0#1234[#1234|1120 01 {zone:03d}]{stamp}'.encode())


def token_of(answer: bytes) -> str:
    return answer.split(b'"')[1].decode()


def test_an_event_is_acknowledged_when_it_is_on_the_disk_and_not_before() -> None:
    rig = Rig()
    (said,) = rig.hears(PANIC)
    assert (said.send, said.token is None, rig.answers) == (b"", False, [])
    assert [(one.point, one.rule, one.kind, one.is_on) for one in rig.reports()] == [
        ("zone-007", "e120", "panic", True)
    ]
    rig.keeps()
    assert rig.answers == [wrap(b'"ACK"0001L0#1234[]_14:12:04,09-25-2011')]
    assert rig.speech.kept(1, rig.moment()) == []


def test_a_link_test_is_acknowledged_at_once_with_the_published_answer() -> None:
    rig = Rig()
    (said,) = rig.hears(b'\nDBA30013"NULL"0001L0#1234[]\r')
    assert said.token is None
    assert rig.answers == [b'\n1BC10012"ACK"0001L0#1234[]\r']
    assert [heard.address for heard in rig.heard] == ["1234"]


def test_an_empty_message_and_an_extended_test_are_acknowledged_at_once() -> None:
    rig = Rig()
    rig.hears(b'\n96ED0016"SIA-DCS"0001L0#1234[]\r')
    rig.hears(wrap(b'"XNM"0002L0#1234[][M0026B9E4268B]'))
    assert [token_of(answer) for answer in rig.answers] == ["ACK", "ACK"]
    assert rig.values() == {"mac": "0026B9E4268B"}
    assert rig.reports() == []


def test_receiver_prefix_and_account_are_given_back_as_they_were_written() -> None:
    rig = Rig("abcdef12")
    rig.says(wrap(b'"ADM-CID"9999RF3L77#aBcdEF12[#abcdef12|1130 01 001]'))
    assert rig.answers == [wrap(b'"ACK"9999RF3L77#aBcdEF12[]')]
    assert rig.heard[0].address == "abcdef12"


@pytest.mark.parametrize("answer", ["ACK", "NAK", "DUH", "RSP"])
def test_an_answer_is_not_answered(answer: str) -> None:
    rig = Rig()
    (said,) = rig.hears(wrap(f'"{answer}"0001L0#1234[]'.encode()))
    assert (said.send, said.heard, said.refused) == (b"", (), "")


def test_a_wrong_crc_gets_no_answer_at_all() -> None:
    rig = Rig()
    (said,) = rig.hears(PANIC.replace(b"1120", b"1110"))
    assert (said.send, said.heard, said.is_staff_told) == (b"", (), False)
    assert said.refused


@pytest.mark.parametrize(
    "content",
    [
        b'"ADM-CID"0001L0#1234[#1234|1120 1 007]',
        b'"ADM-CID"0001L0#1234[#1234|9120 01 007',
        b'"ADM-CID"0001L0#1234[hello]',
        b'"SIA-DCS"0001L0#1234[#1234|pa7]',
        b'"FBI-SF"0001L0#1234[1 2 3]',
    ],
)
def test_what_came_whole_and_cannot_be_read_gets_duh(content: bytes) -> None:
    rig = Rig()
    (said,) = rig.hears(wrap(content))
    assert said.send == wrap(b'"DUH"0001L0#1234[]')
    assert said.refused
    assert not said.is_staff_told
    assert rig.reports() == []


def test_an_unknown_account_gets_duh_and_the_staff_are_told_by_name_up_to_a_bound() -> None:
    rig = Rig()
    whys = set()
    for account in range(5000, 5000 + 3 * MAX_STRANGERS):
        (said,) = rig.hears(wrap(f'"ADM-CID"0001L0#{account}[#{account}|1120 01 007]'.encode()))
        assert (token_of(said.send), said.heard, said.is_staff_told) == ("DUH", (), True)
        whys.add(said.refused)
    assert len(whys) == MAX_STRANGERS + 1
    assert any("5000" in why for why in whys)
    rig.passes(STRANGERS_S)
    assert "account 7777" in rig.hears(wrap(b'"NULL"0001L0#7777[]'))[0].refused


def test_the_account_in_the_data_will_do_where_the_header_has_another() -> None:
    rig = Rig("00000A", profile="hengbo/hb-2050")
    rig.says(wrap(b'"ADM-CID"0003R1234L6789#13800138000[#00000A|1120 00 012]_17:15:29,12-09-2015'))
    assert [heard.address for heard in rig.heard] == ["00000A"]
    assert token_of(rig.answers[0]) == "ACK"


def test_a_single_host_without_an_address_may_have_any_account() -> None:
    rig = Rig("")
    rig.says(PANIC)
    assert [(heard.address, len(heard.reports)) for heard in rig.heard] == [("", 1)]


@pytest.mark.parametrize("secret", KEYS.values(), ids=KEYS)
def test_an_encrypted_message_is_read_and_gets_an_encrypted_answer_with_the_time(secret: bytes) -> None:
    rig = Rig(secret=secret)
    host = rig.talker(secret=secret)
    rig.says(host.frame("ADM-CID", "0042", "#1234|1120 01 007"))
    assert [report.point for report in rig.reports()] == ["zone-007"]
    head, _, sealed = rig.answers[0].partition(b"[")
    assert head.endswith(b'"*ACK"0042L0#1234')
    clear = Cipher(secret).decrypt(sealed.rstrip(b"\r"))
    assert clear is not None
    pad, _, rest = clear.partition(b"|")
    assert rest == b"]" + write_time(WALL_US)
    assert len(pad) >= 16
    assert not set(pad) & set(b"[]|")


def test_two_answers_to_the_same_message_differ() -> None:
    rig = Rig(secret=KEYS["AES-128"])
    frame = rig.talker(secret=KEYS["AES-128"]).frame("NULL", "0042", "")
    rig.hears(frame)
    rig.hears(frame)
    assert rig.answers[0] != rig.answers[1]


@pytest.mark.parametrize(("off_s", "is_taken"), [(20, True), (21, False), (-40, True), (-41, False), (86_400, False)])
def test_the_clock_of_an_encrypted_message_must_be_near_ours(off_s: int, *, is_taken: bool) -> None:
    secret = KEYS["AES-128"]
    rig = Rig(secret=secret)
    host = rig.talker(secret=secret)
    stamp = write_time(WALL_US + off_s * 1_000_000).decode()
    said = rig.says(host.frame("ADM-CID", "0001", "#1234|1120 01 007", stamp=stamp))
    if is_taken:
        assert token_of(rig.answers[0]) == "*ACK"
    else:
        assert rig.answers == [wrap(b'"NAK"0000R0L0A0[]' + write_time(WALL_US))]
        assert (said.heard, said.is_staff_told, f"{off_s:+d} s" in said.refused) == ((), True, True)


def test_while_nobody_has_told_us_the_time_no_clock_is_refused() -> None:
    secret = KEYS["AES-128"]
    rig = Rig(secret=secret)
    rig.is_clock_known = False
    stamp = "_12:00:00,01-01-2001"
    rig.says(rig.talker(secret=secret).frame("ADM-CID", "0001", "#1234|1120 01 007", stamp=stamp))
    assert token_of(rig.answers[0]) == "*ACK"
    assert len(rig.reports()) == 1


def test_a_clear_message_is_taken_whatever_its_time() -> None:
    # Hosts that keep local time are common, and the window is for encrypted messages (5.5.1.9).
    rig = Rig()
    rig.says(PANIC)
    assert token_of(rig.answers[0]) == "ACK"


def refused_by_key(rig: Rig, frame: bytes) -> str:
    (said,) = rig.hears(frame)
    assert (token_of(said.send), said.heard, said.is_staff_told) == ("DUH", (), True)
    assert rig.tokens == []
    return said.refused


def test_a_wrong_key_is_refused_and_the_staff_are_told() -> None:
    rig = Rig(secret=KEYS["AES-128"])
    other = rig.talker(secret=b"fedcba9876543210")
    assert "another key" in refused_by_key(rig, other.frame("ADM-CID", "0001", "#1234|1120 01 007"))


def test_a_host_with_a_key_is_not_taken_at_its_word_in_clear() -> None:
    assert "in clear" in refused_by_key(Rig(secret=KEYS["AES-128"]), panic())


def test_an_encrypted_host_without_a_key_here_is_refused() -> None:
    rig = Rig()
    host = rig.talker(secret=KEYS["AES-128"])
    assert "no key" in refused_by_key(rig, host.frame("NULL", "0001", ""))


def test_a_key_of_another_host_does_not_open_the_door() -> None:
    others = [Speaker(device="other", address="5678", secret=KEYS["AES-256"])]
    rig = Rig(secret=KEYS["AES-128"], others=others)
    forged = rig.talker(secret=KEYS["AES-256"]).frame("ADM-CID", "0001", "#1234|3120 01 007")
    refused_by_key(rig, forged)
    # Nor does an account in the data that has a key, under a header that nobody knows.
    refused_by_key(rig, wrap(b'"ADM-CID"0001L0#9999[#1234|3120 01 007]'))


@pytest.mark.parametrize("secret", [b"short", b"hex:xyz", b"hex:00", b"0" * 33])
def test_a_key_of_the_wrong_form_is_refused_without_showing_it(secret: bytes) -> None:
    with pytest.raises(KeyFaultError) as caught:
        Cipher(secret)
    assert secret.decode() not in str(caught.value)
    # A conversation goes on: the other hosts of the bus are not at fault.
    rig = Rig(secret=secret, others=[Speaker(device="other", address="5678")])
    assert str(caught.value) in refused_by_key(rig, panic())
    rig.says(wrap(b'"NULL"0001L0#5678[]'))
    assert token_of(rig.answers[-1]) == "ACK"


def test_the_form_of_a_key_is_said_and_not_guessed() -> None:
    digits = b"00112233445566778899AABBCCDDEEFF"
    assert read_key(digits) == digits
    assert read_key(b"hex:" + digits + b"\n") == bytes.fromhex(digits.decode())


def test_a_repeat_is_acknowledged_and_reported_once() -> None:
    rig = Rig()
    for _ in range(3):
        rig.says(panic())
        rig.passes(5)
    assert len(rig.reports()) == 1
    assert [token_of(answer) for answer in rig.answers] == ["ACK"] * 3
    assert len(rig.heard) == 3, "it keeps the host alive"


def test_a_repeat_with_a_new_time_and_pad_is_a_repeat() -> None:
    secret = KEYS["AES-128"]
    rig = Rig(secret=secret)
    host = rig.talker(secret=secret)
    for _ in range(2):
        rig.says(host.frame("ADM-CID", "0007", "#1234|1120 01 007"))
        rig.passes(10)
    assert len(rig.reports()) == 1
    assert [token_of(answer) for answer in rig.answers] == ["*ACK"] * 2


def test_a_repeat_while_the_disk_has_not_answered_is_neither_acknowledged_nor_reported_again() -> None:
    shared = Dc09Shared()
    first, second = Rig(shared=shared), Rig(shared=shared)
    first.hears(panic())
    second.passes(5)
    second.hears(panic())
    assert (first.answers, second.answers, second.reports()) == ([], [], [])
    # The first connection is gone, but what it brought is on the disk: its next repeat is acknowledged.
    first.keeps()
    second.passes(5)
    second.says(panic())
    assert (second.answers, second.reports()) == ([wrap(b'"ACK"0001L0#1234[]')], [])


def test_what_the_disk_never_got_is_taken_from_a_later_repeat() -> None:
    shared = Dc09Shared()
    first, second = Rig(shared=shared), Rig(shared=shared)
    first.hears(panic())
    second.passes(PENDING_S)
    second.says(panic())
    assert len(second.reports()) == 1
    assert token_of(second.answers[0]) == "ACK"


def test_the_same_press_with_the_next_number_is_another_press() -> None:
    rig = Rig()
    rig.says(panic("0001"))
    rig.says(panic("0002"))
    assert len(rig.reports()) == 2


def test_no_press_of_a_host_that_never_counts_is_swallowed() -> None:
    rig = Rig()
    rig.says(wrap(b'"NULL"0001L0#1234[]'))
    for _ in range(3):
        rig.says(panic("0001"))
        rig.passes(2)
    assert len(rig.reports()) == 3


def test_no_press_of_a_host_that_numbers_everything_zero_is_swallowed() -> None:
    rig = Rig()
    for second in range(3):
        rig.says(panic("0000", stamp=f"_17:15:0{second},12-09-2015"))
    assert len(rig.reports()) == 3


def test_a_repeat_of_a_host_that_never_counts_shows_by_its_time() -> None:
    rig = Rig()
    rig.says(wrap(b'"NULL"0000L0#1234[]_17:14:00,12-09-2015'))
    for _ in range(2):
        rig.says(panic("0000", stamp="_17:15:00,12-09-2015"))
    assert len(rig.reports()) == 1


def test_a_clock_that_stands_still_swallows_no_press() -> None:
    rig = Rig()
    for _ in range(3):
        rig.says(panic("0000", stamp="_00:00:00,01-01-2000"))
    assert len(rig.reports()) == 3


def test_a_number_that_comes_round_again_is_a_new_press() -> None:
    rig = Rig()
    rig.says(panic())
    rig.passes(REPEAT_S)
    rig.says(panic())
    assert len(rig.reports()) == 2


def test_a_replayed_sequence_is_acknowledged_not_reported_and_told_to_the_staff() -> None:
    rig = Rig()
    rig.says(wrap(b'"NULL"0001L0#1234[]_17:14:00,12-09-2015'))
    old = panic("0002", stamp="_17:15:00,12-09-2015")
    rig.says(old)
    rig.passes(REPEAT_S + 1)
    said = rig.says(old)
    assert (said.heard, said.is_staff_told, "0002" in said.refused) == ((), True, True)
    assert len(rig.reports()) == 1
    assert token_of(rig.answers[-1]) == "ACK"


def test_a_replayed_encrypted_message_fails_by_its_clock() -> None:
    secret = KEYS["AES-128"]
    rig = Rig(secret=secret)
    frame = rig.talker(secret=secret).frame("ADM-CID", "0001", "#1234|3120 01 007")
    rig.says(frame)
    rig.passes(41)
    said = rig.says(frame)
    assert (token_of(rig.answers[-1]), said.is_staff_told) == ("NAK", True)


def test_a_flood_that_waits_for_the_disk_is_bounded_and_ends_when_the_disk_has_failed_it() -> None:
    rig = Rig()
    for number in range(1, MAX_WAITING + 10):
        rig.hears(panic(f"{number:04d}", zone=number))
    assert len(rig.tokens) == MAX_WAITING
    assert rig.hears(panic("0200"))[0].refused
    rig.tokens.clear()
    rig.passes(PENDING_S)
    rig.says(panic("0200"))
    assert token_of(rig.answers[-1]) == "ACK"


def test_a_hengbo_host_gets_its_own_time_back_and_an_answer_it_can_read() -> None:
    rig = Rig("000000", profile="hengbo/hb-2050")
    rig.hears(b'\n93B30031"NULL"0000R1234L6789#000000[]_17:24:14,12-09-2015\r')
    rig.says(b'\n02130047"HENG-BO"0000R1234L6789#000000[#000000|3400 00 000]_17:15:29,12-09-2015\r')
    assert rig.answers == [
        wrap(b'"ACK"0000R1234L6789#000000[]_17:24:14,12-09-2015'),
        wrap(b'"ACK"0000R1234L6789#000000[]_17:15:29,12-09-2015'),
    ]
    assert rig.values() == {"last_event": "R400 00 000", "arming": "armed"}


def test_a_host_with_one_partition_may_number_it() -> None:
    rig = Rig("AAA", profile="ajax/hub")
    rig.says(wrap(b'"SIA-DCS"6002L0#AAA[|Nri1/CL501]_14:12:04,09-25-2019'))
    assert rig.values() == {"last_event": "CL501", "arming": "armed"}


def test_a_late_event_bears_its_own_time_if_the_hosts_clock_is_right() -> None:
    rig = Rig()
    now, then = write_time(WALL_US).decode(), write_time(WALL_US - 3_600_000_000).decode()
    rig.says(wrap(f'"ADM-CID"0001L0#1234[#1234|1120 01 007][H{then[1:]}]{now}'.encode()))
    local = write_time(WALL_US + 8 * 3_600_000_000).decode()
    rig.says(wrap(f'"ADM-CID"0002L0#1234[#1234|1120 01 007][H{then[1:]}]{local}'.encode()))
    assert [heard.at_us for heard in rig.heard] == [WALL_US - 3_600_000_000, None]


@given(st.lists(st.binary(max_size=80), max_size=6), st.binary(max_size=40))
def test_nothing_that_comes_raises_and_the_next_press_is_heard(noises: list[bytes], data: bytes) -> None:
    rig = Rig(secret=KEYS["AES-128"])
    host = rig.talker(secret=KEYS["AES-128"])
    for noise in noises:
        rig.hears(noise)
    rig.hears(wrap(b'"ADM-CID"0001L0#1234[' + data))
    rig.hears(wrap(b'"*SIA-DCS"0001L0#1234[' + data.hex().encode() + b"0" * (-2 * len(data) % 32)))
    rig.hears(wrap(b'"SIA-DCS"0001L0#777[' + data))
    rig.heard.clear()
    rig.says(host.frame("ADM-CID", "0002", "#1234|1120 01 007"))
    assert len(rig.reports()) == 1


def test_a_conversation_has_nothing_to_say_by_itself() -> None:
    rig = Rig()
    assert rig.speech.open(rig.moment()) == []
    assert rig.speech.tick(rig.moment()) == []
    assert rig.speech.next_at() is None
