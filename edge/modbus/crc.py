"""The check sum of Modbus RTU. Pure."""


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_TABLE = _table()


def crc16(data: bytes | bytearray) -> int:
    """Compute CRC-16 (start 0xFFFF, polynomial 0xA001); over a frame with its own, low byte first, it is 0.

    Source: MODBUS over Serial Line V1.02, 6.2.2.
    """
    crc, table = 0xFFFF, _TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc
