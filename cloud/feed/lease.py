"""What only one of several workers does at a time: it says for how long, and says it again before that is over."""

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.database.feed_tables import lease


def hold(connection: Connection, name: str, *, holder: str, now_us: int, for_s: float) -> bool:
    """Take or keep a lease; False while another holder's lasts.

    One that lasts longer than twice `for_s` was taken by a wrong clock, and is nobody's.

    Args:
        connection: a transaction for writing.
        name: of what is done.
        holder: unique among workers.
        now_us: the clock.
        for_s: until it may go to another, unless it is said again.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    nobody = {"name": name, "holder": "", "until_us": 0}
    connection.execute(dialect.insert(lease).on_conflict_do_nothing(), nobody)
    row = connection.execute(select(lease).where(lease.c.name == name).with_for_update()).one()
    for_us = round(for_s * 1e6)
    if row.holder != holder and now_us < row.until_us <= now_us + 2 * for_us:
        return False
    until_us = now_us + for_us
    connection.execute(update(lease).where(lease.c.name == name).values(holder=holder, until_us=until_us))
    return True
