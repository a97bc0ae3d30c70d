"""What happens to a job whose attempt failed: a further attempt, or FAILED [spec 1.3, 1.4]."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import ExitRule


def retries(rules: Sequence[ExitRule], status_reason: str, reason: str, exit_code: int | None) -> bool:
    """Whether `evaluateOnExit` lets a failed attempt be followed by another.

    Rules are tried in order and the first match decides; conditions inside a rule are ANDed; no match
    means retry. A rule with `onExitCode` does not match an attempt without exit code.
    [API: EvaluateOnExit], [spec 1.4]
    """
    for rule in rules:
        if rule.on_status_reason is not None and not _matches(rule.on_status_reason, status_reason):
            continue
        if rule.on_reason is not None and not _matches(rule.on_reason, reason):
            continue
        if rule.on_exit_code is not None and (
            exit_code is None or not _matches(rule.on_exit_code, str(exit_code))
        ):
            continue
        return rule.retry
    return True


def _matches(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
