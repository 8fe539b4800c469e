"""The cloud side: ingest into InfluxDB, the alarm desk and its database."""
