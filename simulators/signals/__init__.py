"""Values that move by themselves: seeded, so that a run can be repeated, and functions of time alone."""
