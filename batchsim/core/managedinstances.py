"""ECS Managed Instances: jobs share instances, and jobs' vCPUs are counted against maxvCpus [spec 3.9].

Instances of both architectures stand in one environment, and each job gets one of its own kind. The vCPUs of
the instances may exceed maxvCpus, since what a job leaves free on its instance is not counted; the vCPUs of
the jobs never do. There is no minvCpus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.allocation import PRICE_TOLERANCE, pick_size
from batchsim.core.fleet import Fleet, Instance
from batchsim.core.room import Room, jobs_on
from batchsim.core.scaling import Scaler

if TYPE_CHECKING:
    from batchsim.core.needs import Needs
    from batchsim.core.plan import EnvironmentPlan, Plan


class SharedFleet(Fleet):
    """The READY instances of one environment, a fleet for each kind of machine.

    used_vcpus   of the jobs on the environment's instances, RETIRING ones included
    """

    __slots__ = ("_kind_of", "_limit", "_mask_of", "_of", "_vcpus_of", "kind_of_type", "used_vcpus")

    def __init__(
        self, needs: Needs, instances: list[Instance], plan: Plan, index: int, types: list[int]
    ) -> None:
        """`types` are all that instances of environment `index` can have."""
        super().__init__(needs, instances, [])
        self.kind_of_type = {each: plan.types[each].kind for each in types}
        kinds = sorted({*self.kind_of_type.values(), *(plan.kinds or (0,))})
        self._of = {
            kind: Fleet(
                needs, instances, [plan.types[each] for each in types if plan.types[each].kind == kind]
            )
            for kind in kinds
        }
        self._kind_of = [plan.kind_of(need) for need in range(len(plan.needs))]
        self._mask_of = {
            kind: sum(1 << need for need, mine in enumerate(self._kind_of) if mine == kind) for kind in kinds
        }
        self._vcpus_of = [need.vcpus for need in plan.needs]
        self._limit = plan.environments[index].max_vcpus
        self.used_vcpus = 0

    def replan(self, environment: EnvironmentPlan) -> None:
        """The environment was updated."""
        self._limit = environment.max_vcpus

    def admits(self, need: int) -> bool:
        """Whether maxvCpus allows one more job."""
        return self.used_vcpus + self._vcpus_of[need] <= self._limit

    def allowed(self) -> int:
        """How many vCPUs more jobs may have."""
        return max(self._limit - self.used_vcpus, 0)

    def free_of(self, kind: int) -> int:
        """The vCPUs that are free on machines of a kind."""
        return self._of[kind].free_vcpus

    def lost(self, held_vcpus: int) -> None:
        """An instance is gone with the jobs on it."""
        self.used_vcpus -= held_vcpus

    def add(self, instance: Instance) -> None:
        """A READY instance joins, empty."""
        self._of[self.kind_of_type[instance.type]].add(instance)
        self.free_vcpus += instance.free_vcpus

    def remove(self, instance: Instance) -> None:
        """The instance takes no more jobs."""
        self._of[self.kind_of_type[instance.type]].remove(instance)
        self.free_vcpus -= instance.free_vcpus

    def reserve(self, instance: Instance, need: int) -> None:
        """Hold `need` for a job, which is not among the instance's `jobs` yet."""
        vcpus = self._vcpus_of[need]
        self._of[self._kind_of[need]].reserve(instance, need)
        self.free_vcpus -= vcpus
        self.used_vcpus += vcpus
        assert self.used_vcpus <= self._limit  # law L7

    def release(self, instance: Instance, need: int) -> None:
        """Give back what was held for a job, which is not among the instance's `jobs` any more."""
        mine = self._of[self._kind_of[need]]
        before = mine.free_vcpus
        mine.release(instance, need)
        self.free_vcpus += mine.free_vcpus - before  # nothing, of an instance that is not READY
        self.used_vcpus -= self._vcpus_of[need]

    def find(self, need: int) -> Instance | None:
        """The best-fitting instance of the need's kind, or None."""
        return self._of[self._kind_of[need]].find(need) if self.admits(need) else None

    def open_needs(self) -> int:
        """Mask of the needs that may fit somewhere now; every need that does fit is in it."""
        mask = 0
        for kind, mine in self._of.items():
            mask |= mine.open_needs() & self._mask_of[kind]
        for need in range(len(self._vcpus_of)):
            if not self.admits(need):
                mask &= ~(1 << need)
        return mask

    def slots(self, need: int, enough: int) -> int:
        """As of a fleet, maxvCpus aside."""
        return self._of[self._kind_of[need]].slots(need, enough)


class SharedScaler(Scaler):
    """Demand, launches and scale-in of such an environment.

    In one decision, `_allowed` is how many vCPUs more jobs may have: those who come first in the demand take
    from it first, whether they go to what is there, to what boots or to what is launched for them.
    `_promised` is what jobs took of it that wait for instances which boot.
    """

    __slots__ = ("_allowed", "_frees", "_kind", "_plans", "_promised", "_rooms", "_shared", "_whole_plan")

    def __init__(self, plan: Plan, environment: EnvironmentPlan, fleet: SharedFleet) -> None:
        super().__init__(plan, environment, fleet)
        self._shared = fleet
        self._whole_plan = plan
        self._plans: dict[int, EnvironmentPlan] = {}
        self._kind = -1
        self._rooms: dict[int, Room] = {}
        self._frees: dict[int, int] = {}
        self._allowed = self._promised = 0

    def replan(self, environment: EnvironmentPlan) -> None:
        """The user has updated the environment."""
        super().replan(environment)
        self._plans.clear()
        self._shared.replan(environment)

    def below_max(self) -> bool:
        """Whether some more jobs may run."""
        return self._plan.enabled and self._shared.allowed() > 0

    def can_grow(self, now: int, need: int) -> bool:
        """Whether a launch that serves `need` is allowed now, beside what others wait for that boots."""
        boots = sum(count * self._types[each].usable_vcpus for each, count in self.booting.items())
        left = self._shared.allowed() - min(self._promised, boots)
        if not self._plan.enabled or self._needs[need].vcpus > left or not self.suits(need):
            return False
        return self._choose(now, need, left) >= 0

    def launching(self, need: int) -> bool:
        """Whether an instance that could serve `need` is booting."""
        asked, kind = self._needs[need], self._whole_plan.kind_of(need)
        return self._shared.admits(need) and any(
            count and self._shared.kind_of_type[each] == kind and self._types[each].holds(asked)
            for each, count in self.booting.items()
        )

    def lost(self, instance: Instance) -> None:
        super().lost(instance)
        self._shared.lost(self._types[instance.type].usable_vcpus - instance.free_vcpus)

    def begin(self) -> None:
        """A scaling decision begins: all free and booting capacity is yet unclaimed."""
        self._allowed, self._promised = self._shared.allowed(), 0
        self._frees.clear()
        self._rooms.clear()
        super().begin()
        self._kind = -1

    def meet(self, now: int, demand: list[list[int]]) -> list[int]:
        """Types to launch for entries [queue, need, jobs], in order; what cannot be met remains in them."""
        launches: list[int] = []
        pending: dict[int, int] = {}
        for _, need, jobs in demand:
            kind = self._whole_plan.kind_of(need)
            pending[kind] = pending.get(kind, 0) + jobs * self._needs[need].vcpus
        for entry in demand:
            _, need, wanted = entry
            kind, vcpus = self._whole_plan.kind_of(need), self._needs[need].vcpus
            entry[2] = self.absorb(need, wanted)
            pending[kind] -= (wanted - entry[2]) * vcpus
            while self._within(need, entry[2]) and self.suits(need):
                type_index = self._choose(now, need, min(pending[kind], self._allowed))
                if type_index < 0:
                    break
                self._count_launch(type_index)
                launches.append(type_index)
                self._room.add(self._types[type_index], 1)
                within = self._within(need, entry[2])
                filled = within - self._room.fill(self._needs[need], within)
                self._take(filled * vcpus, boots=True)
                entry[2] -= filled
                pending[kind] -= filled * vcpus
            pending[kind] -= entry[2] * vcpus  # nobody waits here for what others are launched for
        return launches

    def absorb(self, need: int, jobs: int) -> int:
        """Claim free, then booting capacity for `jobs` jobs of `need`; gives how many remain."""
        self._turn_to(self._whole_plan.kind_of(need))
        within, free = self._within(need, jobs), self._usable_free
        taken = (within - super().absorb(need, within)) * self._needs[need].vcpus
        there = free - self._usable_free
        self._take(there, boots=False)
        self._take(taken - there, boots=True)
        return jobs - (taken // self._needs[need].vcpus if taken else 0)

    def _take(self, vcpus: int, *, boots: bool) -> None:
        self._allowed -= vcpus
        if boots:
            self._promised += vcpus

    def _choose(self, now: int, need: int, room_vcpus: int) -> int:
        """The lowest price for each job that the instance would get of those which wait.

        ECS chooses types by cost, and AWS publishes no rule: one that goes by the price a vCPU would pay for
        what nobody may use. Equal prices: as `sizeTiebreak` says.
        """
        until, asked, types, fees = self.refusals.until, self._needs[need], self._types, self._plan.fees
        waiting = max(1, room_vcpus // asked.vcpus)
        prices = {
            index: (types[index].uusd_per_hour + fees.get(index, 0))
            / min(waiting, jobs_on(types[index], asked))
            for tier in self._tiers_for(need)
            for index in tier
            if until.get(index, -1) <= now
        }
        if not prices:
            return -1
        ceiling = min(prices.values()) * PRICE_TOLERANCE
        cheapest = [index for index, price in prices.items() if price <= ceiling]
        cheapest.sort(key=lambda index: -types[index].vcpus)
        return pick_size(types, cheapest, self._policy.size_tiebreak, room_vcpus)

    def _plan_for(self, need: int) -> EnvironmentPlan:
        kind = self._whole_plan.kind_of(need)
        found = self._plans.get(kind)
        if found is None:
            found = self._plans[kind] = self._whole_plan.of_kind(self._plan, kind)
        return found

    def _within(self, need: int, jobs: int) -> int:
        """How many of so many jobs maxvCpus allows beside those that were allowed before."""
        return min(jobs, self._allowed // self._needs[need].vcpus)

    def _turn_to(self, kind: int) -> None:
        """Look at the free and booting capacity of machines of a kind."""
        if kind != self._kind:
            if self._kind >= 0:
                self._frees[self._kind] = self._usable_free
            self._kind = kind
            self._usable_free = self._frees.get(kind, self._shared.free_of(kind))
            self._room = self._rooms.setdefault(kind, Room())

    def _room_of(self, type_index: int) -> Room:
        return self._rooms.setdefault(self._shared.kind_of_type[type_index], Room())
