"""Errors of the front door: one root."""


class LangyanError(Exception):
    """Root of every error raised by the langyan package."""
