"""The gateway: buses are read, rules judge, the outbox keeps, the uplink sends until the cloud says "stored"."""
