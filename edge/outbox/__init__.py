"""The outbox: where every batch waits until the cloud says that it is stored.

Alarms lie in a SQLite file, telemetry in a log of files beside it; each has room that the other cannot take.
"""

from edge.outbox.batch import Batch, Depth, Ref
from edge.outbox.box import Outbox

__all__ = ["Batch", "Depth", "Outbox", "Ref"]
