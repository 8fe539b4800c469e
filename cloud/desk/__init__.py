"""The alarm desk: alarm events from the broker into one row an open alarm, and what people do with it."""
