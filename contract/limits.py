"""How large anything from outside may be. Every decoder checks these before it works."""

# A gateway seals a batch at 64 KiB of JSON; four times that leaves room for foreign senders.
MAX_PAYLOAD_BYTES = 256 * 1024
# SenML deflates about tenfold; beyond sixteenfold it is a bomb, not a batch.
MAX_INFLATED_BYTES = 4 * 1024 * 1024
MAX_RECORDS = 20_000
# InfluxDB 1.x takes 64 KiB a string field; nothing a device says needs more than a page.
MAX_STRING_CHARS = 1024
MAX_ID_CHARS = 64
MAX_DEVICES = 2_000
MAX_CORRELATION_BYTES = 64
# 2000-01-01 and 2200-01-01: a time outside is a broken clock or another unit, never a measurement.
MIN_TIME_US = 946_684_800_000_000
MAX_TIME_US = 7_258_118_400_000_000
