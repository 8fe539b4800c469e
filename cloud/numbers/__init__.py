"""Numbers: alarms counted by area and day, and what the counts say against the limits."""
