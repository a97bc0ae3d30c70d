"""The order of the jobs of a queue that has a fair-share scheduling policy [spec 2.4].

The next job is that of the share with the least score; in a share, that with the highest scheduling
priority, retried jobs before others, then first come, first served. Of shares with equal scores, that whose
next job became RUNNABLE first is served, then that with the lower index. `shares` says what a score is,
`race` how the least one is found without looking at all of them.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final

from batchsim.core.columns import JOB_BITS, JOB_MASK
from batchsim.core.grid import NEVER, next_multiple
from batchsim.core.ordering import NOBODY, Order
from batchsim.core.race import Race
from batchsim.core.shares import UNIT_WEIGHT, FairSharePolicy, Pattern, Run, Share, ShareUsage, Stake, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ACTIVE_SHARES: Final = 500  # [UG: fair-share-scheduling]
_TOP_PRIORITY: Final = 9_999
_LOOKS_PER_WINDOW: Final = 1024


class FairShareQueue(Order):
    """The order of one queue's jobs by shares: an `Order` that is strict, so that nobody passes a job
    which finds no place.

    Beside what `Order` asks for, it must be told of each job of the queue when it was `submitted` and when
    it is `finished`, of each attempt when it is `started` and when it has `ended`, and of each pass before
    anything is asked in it. Instants never decrease. An answer without a `now` is for the latest pass.
    """

    __slots__ = (
        "_arrivals",
        "_changed",
        "_class_of",
        "_decays",
        "_horizon",
        "_identifiers",
        "_idle",
        "_in_flight",
        "_now",
        "_race",
        "_recent",
        "_removed",
        "_reservation",
        "_reweighed",
        "_runnable_us",
        "_shares",
        "_stakes",
        "_usable",
        "_weights",
        "_whole",
        "_window",
        "_young",
        "score_unit",
        "vcpus_in_flight",
    )

    def __init__(
        self,
        policy: FairSharePolicy,
        identifiers: Sequence[str],
        stakes: Sequence[Stake],
        class_of: Sequence[int],
        runnable_us: Sequence[int],
    ) -> None:
        """`identifiers` are the share identifiers by index, `stakes` the job classes; `class_of` and
        `runnable_us` are columns by job, the latter filled in as jobs become RUNNABLE.
        """
        super().__init__()
        self.vcpus_in_flight = 0
        self._window = policy.window_us()
        self._whole = 2 * self._window**2  # what one vCPU in flight adds to a share's usage
        self.score_unit = UNIT_WEIGHT * self._whole
        self._decays = policy.model == "cdk"
        self._reservation = policy.reservation_percent
        self._weights = Weights(policy)
        self._identifiers = identifiers
        self._stakes = stakes
        self._class_of = class_of
        self._runnable_us = runnable_us
        self._now = 0
        self._horizon = -self._window  # attempts that started later are in `_young`
        self._arrivals = len(class_of)  # ranks of retried jobs, which are job numbers, stay below
        self._shares: dict[int, Share] = {}  # the active ones
        self._race: Race[Share | Pattern] = Race()  # of those with waiting jobs
        self._changed: list[Share] = []  # to be placed in the race before it is asked
        self._reweighed: list[Pattern] = []  # likewise
        self._removed: set[int] = set()  # jobs that left the queue but are in `Share.jobs` yet
        self._in_flight: dict[int, Run] = {}
        self._young: deque[Run] = deque()  # neither D nor more ago, by start
        self._recent: deque[Run] = deque()  # those that ended less than D ago, by end
        self._idle: deque[tuple[int, Share]] = deque()  # by `idle_at`
        self._usable: dict[int, tuple[int, int]] = {}

    # --- what happened ------------------------------------------------------------------------

    def accepts(self, now: int, job: int) -> bool:
        """Whether SubmitJob takes the job: it must not make one share too many active [spec 2.4]."""
        self._retire(now)
        index = self._stakes[self._class_of[job]][1]
        return index in self._shares or len(self._shares) < MOST_ACTIVE_SHARES

    def submitted(self, now: int, job: int) -> bool:
        """The job is SUBMITTED: its share is active; tells whether it was not before."""
        if self._idle and self._idle[0][0] <= now:
            self._retire(now)
        index = self._stakes[self._class_of[job]][1]
        share = self._shares.get(index)
        is_new = share is None
        if share is None:
            share = self._activate(index)
        share.live += 1
        return is_new

    def finished(self, now: int, job: int) -> None:
        """The job is SUCCEEDED or FAILED; if no other of its share is live, the share is active for D yet."""
        share = self._shares[self._stakes[self._class_of[job]][1]]
        share.live -= 1
        if not share.live:
            share.idle_at = now + self._window
            self._idle.append((share.idle_at, share))

    def started(self, now: int, job: int) -> None:
        """An attempt of a job that has just been taken is STARTING: it holds vCPUs from now on."""
        _, index, vcpus, _ = self._stakes[self._class_of[job]]
        share = self._shares[index]
        run = self._in_flight[job] = Run(share, vcpus, now)
        self._young.append(run)
        self.vcpus_in_flight += vcpus
        share.vcpus += vcpus
        if self._decays:
            self._hold(share, now, vcpus)
        else:
            share.c0 += self._whole * vcpus

    def ended(self, now: int, job: int) -> None:
        """The attempt is over, in whatever way; what it used counts for D yet."""
        run = self._in_flight.pop(job)
        share, vcpus, start = run.share, run.vcpus, run.start
        self.vcpus_in_flight -= vcpus
        share.vcpus -= vcpus
        young = start > self._horizon
        if not self._decays:
            share.c0 -= self._whole * vcpus
        elif young:
            self._hold(share, start, -vcpus)
        if young:
            used = vcpus * (now - start)
            share.c1 -= 2 * used
            share.c0 += used * (now + start + 2 * self._window)
        else:
            share.add_square(vcpus, now + self._window)
        run.end = now
        self._recent.append(run)
        if share.waiting and not share.changed:
            share.changed = True
            self._changed.append(share)

    def begin_pass(self, now: int) -> None:
        """What is asked next is asked at this instant."""
        self._now = now
        self._horizon = horizon = now - self._window
        young, recent = self._young, self._recent
        while young and young[0].start <= horizon:
            run = young.popleft()
            if run.end >= 0:
                run.share.add_square(run.vcpus, run.start + self._window)
            elif self._decays:
                self._hold(run.share, run.start, -run.vcpus)
        while recent and recent[0].end <= horizon:
            run = recent.popleft()
            run.share.add_square(-run.vcpus, run.end + self._window)
        if self._idle and self._idle[0][0] <= now:
            self._retire(now)

    # --- the order ----------------------------------------------------------------------------

    def add(self, job: int, *, retried: bool = False) -> None:
        need, index, _, priority = self._stakes[self._class_of[job]]
        if retried:
            rank = job
        else:
            rank = self._arrivals
            self._arrivals += 1
        share = self._shares[index]
        entry = ((_TOP_PRIORITY - priority) << JOB_BITS | rank) << JOB_BITS | job
        heappush(share.jobs, entry)
        if share.jobs[0] == entry and not share.changed:
            share.changed = True
            self._changed.append(share)
        share.waiting += 1
        self.waiting[need] = self.waiting.get(need, 0) + 1
        self.size += 1

    def first(self, open_needs: int) -> int:  # noqa: ARG002 - the head decides, whatever is open
        share = self._leader()
        return NOBODY if share is None else share.jobs[0] & JOB_MASK

    def take(self, job: int) -> None:
        need, index, _, _ = self._stakes[self._class_of[job]]
        share = self._shares[index]
        heappop(share.jobs)
        self._leave(share, need)

    def remove(self, job: int) -> None:
        """A waiting job, wherever it stands, leaves the queue without being placed."""
        need, index, _, _ = self._stakes[self._class_of[job]]
        self._removed.add(job)
        self._leave(self._shares[index], need)

    def skip(self, job: int) -> bool:  # noqa: ARG002 - it is the head, and nobody passes the head
        return False

    def end_pass(self) -> None:
        """Nothing was skipped."""

    def blocking_need(self) -> int:
        head = self.first(0)
        return NOBODY if head == NOBODY else self._stakes[self._class_of[head]].need

    def jobs(self) -> list[int]:
        """All waiting jobs in the order in which they would start if all started now."""
        waiting: list[tuple[int, int, int, list[int]]] = []
        for index, share in self._shares.items():
            jobs = [entry & JOB_MASK for entry in sorted(share.jobs, reverse=True)]
            jobs = [job for job in jobs if job not in self._removed]
            if jobs:
                waiting.append((share.score(self._now), self._runnable_us[jobs[-1]], index, jobs))
        heapify(waiting)
        order: list[int] = []
        while waiting:
            score, _, index, jobs = waiting[0]
            job = jobs.pop()
            order.append(job)
            if jobs:
                vcpus = self._stakes[self._class_of[job]].vcpus
                score += self._shares[index].full_weight() * self._whole * vcpus
                heapreplace(waiting, (score, self._runnable_us[jobs[-1]], index, jobs))
            else:
                heappop(waiting)
        return order

    def next_look_us(self) -> int:
        """When another share may come first though nothing happens, so that another pass is due if the
        present head found no place but others might; NEVER if none will.

        Often too early, and never before the next of the 1,024 instants that divide D, because scores that
        fall side by side could cross at any microsecond.
        """
        share = self._leader()
        if share is None:
            return NEVER
        pattern = share.pattern
        if pattern is None:
            due = self._race.undisputed_until(self._now, share)
        else:
            due = self._race.undisputed_until(self._now, pattern)
            due = min(due, pattern.race.undisputed_until(self._now, share))
        if self._idle:
            due = min(due, self._idle[0][0])  # the weights of those that match a wildcard fall
        if due == NEVER:
            return NEVER
        return next_multiple(max(due, self._now + 1), max(self._window // _LOOKS_PER_WINDOW, 1))

    # --- active shares ------------------------------------------------------------------------

    def n_active(self, now: int) -> int:
        """Shares with a job in SUBMITTED..RUNNING now or less than D ago."""
        self._retire(now)
        return len(self._shares)

    def usable_vcpus(self, now: int, total: int) -> int:
        """How many of `total` vCPUs all active shares together may use, rounded down.

        total x (1 - (computeReservation / 100) ^ active shares) [API: FairsharePolicy.computeReservation]
        """
        active = self.n_active(now)
        if active not in self._usable:
            whole = 100**active
            self._usable[active] = (whole - self._reservation**active, whole)
        usable, whole = self._usable[active]
        return total * usable // whole

    def admits(self, now: int, job: int, total: int) -> bool:
        """Whether the reservation for shares that are not active leaves room for `job`, of `total` vCPUs."""
        vcpus = self._stakes[self._class_of[job]].vcpus
        return self.vcpus_in_flight + vcpus <= self.usable_vcpus(now, total)

    def usage(self, now: int) -> list[ShareUsage]:
        """All active shares, by index."""
        self.begin_pass(now)
        return [
            ShareUsage(index, share.vcpus, share.waiting, share.score(now))
            for index, share in sorted(self._shares.items())
        ]

    # --- inside -------------------------------------------------------------------------------

    def _hold(self, share: Share, start: int, vcpus: int) -> None:
        """Count `vcpus` more, or fewer, in flight since `start`, the less the longer ago that is."""
        double = 2 * self._window * vcpus
        share.c1 -= double
        share.c0 += double * (start + self._window)

    def _leave(self, share: Share, need: int) -> None:
        """One of the share's jobs of that need does not wait any more."""
        if not share.changed:
            share.changed = True
            self._changed.append(share)
        share.waiting -= 1
        self.size -= 1
        left = self.waiting[need] - 1
        if left:
            self.waiting[need] = left
        else:
            del self.waiting[need]

    def _leader(self) -> Share | None:
        now = self._now
        if self._changed or self._reweighed:
            self._settle(now)
        return self._race.leader(now).first(now) if self.size else None

    def _settle(self, now: int) -> None:
        """Place all that changed in the races."""
        for share in self._changed:
            share.changed = False
            jobs, removed, pattern = share.jobs, self._removed, share.pattern
            while removed and jobs and jobs[0] & JOB_MASK in removed:
                removed.discard(heappop(jobs) & JOB_MASK)
            race = self._race if pattern is None else pattern.race
            if jobs:
                share.since = self._runnable_us[jobs[0] & JOB_MASK]
                race.place(share, now)
            elif share.entry is not None:
                race.remove(share)
            if pattern is not None:
                self._reweigh(pattern)
        self._changed.clear()
        for each in self._reweighed:
            each.changed = False
            if each.race:
                self._race.place(each, now)
            elif each.entry is not None:
                self._race.remove(each)
        self._reweighed.clear()

    def _reweigh(self, pattern: Pattern) -> None:
        if not pattern.changed:
            pattern.changed = True
            self._reweighed.append(pattern)

    def _activate(self, index: int) -> Share:
        weight, pattern = self._weights.of(self._identifiers[index])
        share = self._shares[index] = Share(index, weight, pattern)
        if pattern is not None:
            pattern.active += 1
            self._reweigh(pattern)
        return share

    def _retire(self, now: int) -> None:
        """Forget the shares that have been idle for D."""
        while self._idle and self._idle[0][0] <= now:
            due, share = self._idle.popleft()
            idle = not share.live and share.idle_at == due  # and not active again, or idle anew, since
            if idle and self._shares.get(share.index) is share:
                del self._shares[share.index]
                if share.pattern is not None:
                    share.pattern.active -= 1
                    self._reweigh(share.pattern)
