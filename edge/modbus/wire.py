"""How long bytes take on a serial line. Pure.

Source: MODBUS over Serial Line V1.02, 2.5.1 and 2.5.1.1.
"""

from msgspec import Struct

# Start, eight data bits, parity or a second stop bit, stop.
BITS_PER_CHARACTER = 11
# What a line without parity and with one stop bit really carries; most are so.
LEAST_BITS = 10
GAP_CHARACTERS = 3.5
# Above 19 200 baud the silence is fixed.
FIXED_GAP_ABOVE_BAUD = 19_200
FIXED_GAP_S = 0.00175


class Wire(Struct, frozen=True):
    """The timing of one line; all zero where there is none to keep (TCP).

    Attributes:
        character_s: what one character is reckoned with.
        least_character_s: the shortest it can really take.
        gap_s: silence that parts two frames.
    """

    character_s: float = 0.0
    least_character_s: float = 0.0
    gap_s: float = 0.0

    def transaction_s(self, sent: int, answered: int) -> float:
        """Time that a request and its answer take, with the silence after each."""
        return (sent + answered) * self.character_s + 2 * self.gap_s


def wire_at(baud: int) -> Wire:
    """Work out the timing at a speed: 3.5 characters of silence, or 1.75 ms above 19 200 baud."""
    character_s = BITS_PER_CHARACTER / baud
    gap_s = FIXED_GAP_S if baud > FIXED_GAP_ABOVE_BAUD else GAP_CHARACTERS * character_s
    return Wire(character_s, LEAST_BITS / baud, gap_s)
