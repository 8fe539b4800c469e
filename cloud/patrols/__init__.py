"""Patrol tours: what was planned, what was walked, and the verdict on each visit."""
