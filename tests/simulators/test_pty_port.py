import os
from pathlib import Path

import pytest

from simulators.errors import SimulatorError
from simulators.pty_port import PtyPort
from tests.simulators.rig import opened, read_exactly, wait_for


def test_the_link_leads_to_the_line_and_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "tty"
    port = PtyPort(path)
    with opened(str(path)) as fd:
        assert port.write(b"\x00\x11\x13\x0d\x0a\xff")
        assert read_exactly(fd, 6) == b"\x00\x11\x13\x0d\x0a\xff", "no byte is special on a raw line"
        os.write(fd, b"\x03\x04\x1a\x7f")
        wait_for(port.has_pending)
        assert port.read() == b"\x03\x04\x1a\x7f"
        assert port.read() == b""
    port.close()
    assert list(tmp_path.iterdir()) == []


def test_the_other_end_may_close_and_open_again(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    for _ in range(3):
        with opened(str(port.path)) as fd:
            os.write(fd, b"ask")
            wait_for(port.has_pending)
            assert port.read() == b"ask"
        assert port.read() == b""
    port.close()


def test_what_nobody_reads_can_be_dropped_and_never_blocks(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    wrote = 0
    while port.write(bytes(1000)):
        wrote += 1000
        assert wrote < 10_000_000, "the line takes any amount"
    wait_for(lambda: port.unread() > 0)

    def is_dropped() -> bool:
        # The kernel moves bytes on in its own time, so what was under way may arrive after one drop.
        port.drop_unread()
        return port.unread() == 0

    wait_for(is_dropped)
    port.close()


def test_a_dead_link_and_another_simulators_link_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tty"
    path.symlink_to(tmp_path / "gone")
    first = PtyPort(path)
    second = PtyPort(path)
    target = path.readlink()
    first.close()
    assert path.readlink() == target, "a port that was replaced leaves its successor's link alone"
    second.close()
    assert not path.is_symlink()


def test_a_file_a_device_and_a_link_to_one_are_left_alone(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("mine")
    link.symlink_to("/dev/null")
    for place, text in [(file, "exists and is no simulated port"), (link, "a link to /dev/null")]:
        with pytest.raises(SimulatorError, match=text):
            PtyPort(place)
    with pytest.raises(SimulatorError, match="does not exist; make it"):
        PtyPort(tmp_path / "nowhere" / "tty")
    assert file.read_text() == "mine"
    assert str(link.readlink()) == "/dev/null"
