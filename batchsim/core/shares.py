"""What a fair-share queue knows of its shares: their weights, what they use, and what of theirs waits.

The score of a share at the instant t [spec 2.4] is

    weight x (A + H / D)      A   vCPUs in STARTING and RUNNING
                              H   vCPU-seconds of attempts that have ended, each moment of which counts
                                  less as it ages: all of it at first, half after D / 2, nothing after D
                              D   the decay window: shareDecaySeconds, or 600 s if that is 0

An attempt of v vCPUs that lasted from s to e adds to 2 D H

    v ((e + D - t)^2 - (s + D - t)^2)    while t < s + D,
    v  (e + D - t)^2                     while t < e + D, and then nothing.

So a share keeps the coefficients of one polynomial in t, which change when an attempt starts or ends and at
these two instants. It is convex and falls until something starts. Scores are integers in units of
1 / (10,000 x 2 D^2) vCPU, so that nothing is rounded.

With the model "cdk" an attempt in flight counts v (1 - (t - s) / D) instead of v, and nothing after D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from batchsim.core.race import NEVER_PLACED, Race

DEFAULT_WINDOW_US: Final = 600_000_000  # [API: FairsharePolicy.shareDecaySeconds]
UNIT_WEIGHT: Final = 10_000  # a weightFactor of 1; the least that AWS accepts is 0.0001


@dataclass(frozen=True, slots=True)
class FairSharePolicy:
    """A scheduling policy's `fairsharePolicy`, and the assumptions on what AWS does not say of it.

    share_decay_us        shareDecaySeconds in microseconds; 0 is the default window of 600 s
    reservation_percent   computeReservation, 0..99
    weights               shareDistribution: identifier, or prefix and `*`; weightFactor in units of 0.0001
    model                 "finished": vCPUs in flight count in full; "cdk": less as their attempt ages
    wildcard_split        a wildcard's weight is multiplied by the number of active shares that match it
    """

    share_decay_us: int = 0
    reservation_percent: int = 0
    weights: tuple[tuple[str, int], ...] = ()
    model: str = "finished"
    wildcard_split: bool = True

    def window_us(self) -> int:
        return self.share_decay_us or DEFAULT_WINDOW_US


class Stake(NamedTuple):
    """What the order needs to know of a job class: `share` is an index into the table of identifiers,
    `vcpus` are those of all its nodes in the plan's units, `priority` is 0..9999.
    """

    need: int
    share: int
    vcpus: int
    priority: int


class ShareUsage(NamedTuple):
    """One active share at an instant; `score` in units of 1 / `FairShareQueue.score_unit` vCPU."""

    share: int
    vcpus_in_flight: int
    jobs_waiting: int
    score: int


class Weights:
    """Weight factors of identifiers, in units of 0.0001 [API: ShareAttributes]."""

    __slots__ = ("_by_name", "_patterns", "_split")

    def __init__(self, policy: FairSharePolicy) -> None:
        self._by_name = dict(policy.weights)
        self._split = policy.wildcard_split
        self._patterns: dict[str, Pattern] = {}

    def of(self, identifier: str) -> tuple[int, Pattern | None]:
        """The weight, and the wildcard that divides it among its shares, if there is one.

        Entries of a policy never overlap, so that at most one matches. Without any the weight is 1.
        """
        if identifier in self._by_name:
            return self._by_name[identifier], None
        for length in range(len(identifier), -1, -1):
            wildcard = identifier[:length] + "*"
            if wildcard in self._by_name:
                pattern = self._patterns.setdefault(wildcard, Pattern()) if self._split else None
                return self._by_name[wildcard], pattern
        return UNIT_WEIGHT, None


class Pattern:
    """The active shares that match one wildcard. In the race of all they run as one: the number that their
    scores are multiplied by changes whenever a share comes or goes, but not who of them is first.
    """

    __slots__ = ("active", "changed", "entry", "exact_at", "race")

    def __init__(self) -> None:
        self.active = 0
        self.changed = False
        self.race: Race[Share] = Race()
        self.exact_at = NEVER_PLACED
        self.entry: tuple[int, int, int, Pattern, int] | None = None

    def measure(self, now: int) -> tuple[int, int, int, int]:
        score, _, since, index = self.race.leader(now).measure(now)
        return self.active * score, self.active * self.race.fastest(), since, index

    def first(self, now: int) -> Share:
        return self.race.leader(now)


class Share:
    """An active share. Its usage, A + H / D, is `(c0 + c1 t + c2 t^2) / (2 D^2)`.

    live       jobs in SUBMITTED..RUNNING
    idle_at    when it ceases to be active unless something is submitted before; for shares without live jobs
    jobs       those that wait, as a heap of priority, rank and job; some that were removed may be among them
    waiting    how many wait
    since      when the first of `jobs` became RUNNABLE
    changed    it must be placed in its race before that is asked
    """

    __slots__ = (
        "c0",
        "c1",
        "c2",
        "changed",
        "entry",
        "exact_at",
        "idle_at",
        "index",
        "jobs",
        "live",
        "pattern",
        "since",
        "vcpus",
        "waiting",
        "weight",
    )

    def __init__(self, index: int, weight: int, pattern: Pattern | None) -> None:
        self.index = index
        self.weight = weight
        self.pattern = pattern
        self.live = self.idle_at = self.vcpus = self.waiting = self.since = 0
        self.c0 = self.c1 = self.c2 = 0
        self.jobs: list[int] = []
        self.changed = False
        self.exact_at = NEVER_PLACED
        self.entry: tuple[int, int, int, Share, int] | None = None

    def measure(self, now: int) -> tuple[int, int, int, int]:
        """As a `race` asks for it: without the number of shares that divide a wildcard."""
        weight = self.weight
        bend = self.c2 * now
        slope = bend + self.c1
        return weight * (slope * now + self.c0), -weight * (slope + bend), self.since, self.index

    def first(self, now: int) -> Share:  # noqa: ARG002 - a pattern has to look
        return self

    def score(self, now: int) -> int:
        return self.full_weight() * ((self.c2 * now + self.c1) * now + self.c0)

    def full_weight(self) -> int:
        return self.weight if self.pattern is None else self.weight * self.pattern.active

    def add_square(self, vcpus: int, zero: int) -> None:
        """Add `vcpus * (zero - t)^2`."""
        self.c2 += vcpus
        self.c1 -= 2 * vcpus * zero
        self.c0 += vcpus * zero * zero


class Run:
    """An attempt that counts yet; `end` is -1 before it has ended."""

    __slots__ = ("end", "share", "start", "vcpus")

    def __init__(self, share: Share, vcpus: int, start: int) -> None:
        self.share = share
        self.vcpus = vcpus
        self.start = start
        self.end = -1
