"""Limits of a scenario's text, wide for a user and too narrow to do harm [reliability: limits]."""

MAX_BYTES = 1_048_576
MAX_DEPTH = 32
MAX_NODES = 100_000
"""Lists, mappings, keys and values, with aliases written out."""
MAX_ALIASES = 100
MAX_INTEGER_DIGITS = 18
"""So many always fit 64 bits."""
MAX_NUMBER_LENGTH = 64
