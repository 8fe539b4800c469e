"""Between ingest and the trades: samples that somebody must judge, and what was found out on its way to InfluxDB."""
