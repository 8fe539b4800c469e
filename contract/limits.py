"""How large anything from outside may be. Every decoder checks these before it works."""

# Packed, as it comes. A gateway's batch has at most 4,000 readings, which are 160 to 320 KB of JSON and 12 to 40 KB
# deflated; the rest is room for foreign senders, who may not deflate.
MAX_PAYLOAD_BYTES = 256 * 1024
# SenML deflates eight- to thirteenfold (measured on batches of 2,000 readings); beyond sixteenfold it is a bomb,
# not a batch.
MAX_INFLATED_BYTES = 4 * 1024 * 1024
MAX_RECORDS = 20_000
# A birth is never deflated: 2,000 devices of 500 bytes. Our broker takes no larger message.
MAX_BIRTH_BYTES = 1024 * 1024
# InfluxDB 1.x takes 64 KiB a string field; nothing a device says needs more than a page.
MAX_STRING_CHARS = 1024
MAX_ID_CHARS = 64
# The longest unit of RFC 8428 and RFC 8798 has 7 characters; foreign ones may be longer.
MAX_UNIT_CHARS = 32
# The longest source is /langyan/v1/ and two ids, the longest subject two ids, the longest type 25 characters.
MAX_ATTRIBUTE_CHARS = 300
# English, Chinese and what a site may add; a language tag itself is a few characters (RFC 5646, 4.4.1: 35).
MAX_LANGUAGES = 8
MAX_LANGUAGE_TAG_CHARS = 35
# 10**18 batches at a thousand a second last 30 million years, and the number fits 64 bits.
MAX_SEQ_DIGITS = 18
# A reason travels in receipts, logs and dead letters, and may quote the sender.
MAX_WHY_CHARS = 300
MAX_DEVICES = 2_000
MAX_CORRELATION_BYTES = 64
# A gateway remembers what it has done until it expires: an hour of commands, and the hour is for slow sites.
MAX_COMMAND_AHEAD_US = 3_600_000_000
# A city has some hundred thousand tags and some thousand thefts a year; "tag-" and the tag are one id.
MAX_STOLEN = 20_000
MAX_TAG_CHARS = 60
MAX_NOTE_CHARS = 60
# 500 entries with notes in Chinese are 130 KB.
MAX_PART_TAGS = 500
# 2000-01-01 and 2200-01-01: a time outside is a broken clock or another unit, never a measurement.
MIN_TIME_US = 946_684_800_000_000
MAX_TIME_US = 7_258_118_400_000_000
