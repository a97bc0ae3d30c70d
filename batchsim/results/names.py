"""Names of files that may stand beside a result's own in its folder."""

from __future__ import annotations

from typing import Final

DECISIONS: Final = "decisions.jsonl"
VALIDATION: Final = "validation.json"
VALIDATION_PLOT: Final = "validation.svg"

BESIDE: Final = (DECISIONS, VALIDATION, VALIDATION_PLOT)
