"""The desk's HTTP API: a process of its own, so that no request delays an alarm."""
