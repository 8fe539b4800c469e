"""Buses on which devices speak by themselves: carriers, conversations on them, and what becomes of what they say.

A gateway whose site has none of them does not import this package.
"""
