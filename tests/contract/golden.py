"""The golden messages: bytes that were once sent, and what they must mean for ever."""

import json
from dataclasses import dataclass
from pathlib import Path

from contract.alarms import decode_alarm
from contract.commands import decode_command, decode_result
from contract.compression import ContentEncoding, unpack
from contract.presence import decode_presence
from contract.receipts import decode_receipt
from contract.telemetry import decode_telemetry

FOLDER = Path(__file__).parent / "golden"
V1 = FOLDER / "v1"
RFC8428 = FOLDER / "rfc8428"
GATEWAY = "school-17"


@dataclass(frozen=True)
class Golden:
    file: str
    kind: str
    expected: object

    @property
    def payload(self) -> bytes:
        return (V1 / self.file).read_bytes()

    def decode(self, payload: bytes) -> object:
        """Read `payload` as what this message is."""
        match self.kind:
            case "telemetry":
                packing = ContentEncoding.DEFLATE if self.file.endswith(".bin") else ContentEncoding.IDENTITY
                return decode_telemetry(unpack(payload, packing))
            case "alarm":
                return decode_alarm(payload, gateway=GATEWAY)
            case "presence":
                return decode_presence(payload, gateway=GATEWAY)
            case "receipt":
                return decode_receipt(payload)
            case "command":
                return decode_command(payload, gateway=GATEWAY)
            case "result":
                return decode_result(payload, gateway=GATEWAY)
        raise AssertionError(self.kind)


GOLDENS = [Golden(**entry) for entry in json.loads((V1 / "index.json").read_text())]
