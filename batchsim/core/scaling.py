"""Capacity of one managed compute environment: what to launch, and what to give back.

Scaling looks at counts of waiting jobs by need, never at the jobs. A decision first lets what is free
and what is booting absorb the demand (`absorb`), then launches for the rest (`grow`). The rule of
maxvCpus: a launch is allowed while the provisioned vCPUs are below maxvCpus, so that the environment
may end above it by at most one instance [spec 3.2, UG: allocation-strategies].

Instances idle for `idle_scale_in_us` are given back, oldest idleness first, as long as minvCpus stays
provisioned; whole instances only, never one that runs a job [spec 3.8].

Instances that an infrastructure update replaces are counted until they are gone, so that new ones come as far
as maxvCpus allows; each is given back as soon as it has no job. AWS does not say whether it lets both
generations together exceed maxvCpus.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from batchsim.core.allocation import gang_types, pick_size, tiers_of
from batchsim.core.fleet import BOOTING, READY, RETIRING, Fleet, Instance
from batchsim.core.grid import NEVER
from batchsim.core.plan import NO_NEED, EnvironmentPlan, Gang, MachineType, Plan
from batchsim.core.refusals import Refusals
from batchsim.core.room import Room

if TYPE_CHECKING:
    from collections.abc import Sequence


class Scaler:
    """Demand, launches and scale-in of one managed environment; `refusals` are the launches that failed.

    `provisioned` is the vCPUs of all instances launched and not yet gone; `booting[type]` counts those
    that are not READY yet. `kept[type]` is how many idle instances the next `scale_in` must leave alone.
    `highest_max` is the largest maxvCpus that there was: lowering it ends nothing, and what is there takes
    jobs until it is idle for long enough to be given back [spec 3.2].
    `desired` is what the user has asked for, until the next decision; `retiring` is the vCPUs of instances
    that an update replaces, which are provisioned, too.
    """

    __slots__ = (
        "_fleet",
        "_gang_types",
        "_gangs",
        "_gathered",
        "_held",
        "_idle",
        "_leaving",
        "_may_run",
        "_needs",
        "_plan",
        "_policy",
        "_room",
        "_tiers",
        "_types",
        "_usable_free",
        "booting",
        "desired",
        "highest_max",
        "kept",
        "provisioned",
        "refusals",
        "retiring",
    )

    def __init__(self, plan: Plan, environment: EnvironmentPlan, fleet: Fleet) -> None:
        self._plan = environment
        self._policy = plan.policy
        self._types = plan.types
        self._needs = plan.needs
        self._gangs = plan.gangs
        self._may_run = plan.may_run
        self._fleet = fleet
        self._gang_types: dict[int, list[int]] = {}
        self._gathered: dict[int, int] = {}  # type -> instances that multi-node jobs claim in this decision
        self.kept: dict[int, int] = {}
        self._tiers: dict[int, list[list[int]]] = {}
        self.refusals = Refusals(plan.policy.launch_cooloff_us)
        # Idle instances by how long they are kept, and in each line by since when they are idle.
        self._idle: dict[int, deque[tuple[int, Instance]]] = {
            limit: deque() for limit in sorted({self._delay_us(ran=False), self._delay_us(ran=True)})
        }
        self._held: list[tuple[int, Instance]] = []  # as in `_idle`: for long enough, but still needed
        self._room = Room()
        self._usable_free = 0
        self.provisioned = self.retiring = 0
        self.desired = environment.desired_vcpus
        self.highest_max = environment.max_vcpus
        self.booting: dict[int, int] = {}
        self._leaving: list[tuple[int, Instance]] = []  # RETIRING ones without jobs, and since when

    def replan(self, environment: EnvironmentPlan) -> None:
        """The user has updated the environment."""
        self._plan = environment
        self.desired = environment.desired_vcpus
        self.highest_max = max(self.highest_max, environment.max_vcpus)
        self._tiers.clear()
        self._gang_types.clear()

    # --- what may grow ------------------------------------------------------------------------

    def below_max(self) -> bool:
        """Whether the rule of maxvCpus allows a launch."""
        return self.provisioned < self._plan.max_vcpus and self._plan.enabled

    def suits(self, need: int) -> bool:
        """Whether a launch could ever serve `need`: some type holds it, and no limit is below it."""
        return self._needs[need].vcpus <= self._plan.max_vcpus and bool(self._tiers_for(need))

    def serves(self, need: int, gang: Gang | None) -> bool:
        """Whether jobs of `need` are ever placed here."""
        return self._plan.enabled and bool(self.suits(need) if gang is None else self.gang_types(need))

    def can_grow(self, now: int, need: int) -> bool:
        """Whether a launch that serves `need` is allowed now."""
        return self.below_max() and self.suits(need) and self._choose(now, need, self._plan.max_vcpus) >= 0

    def all_cooling(self, now: int, need: int) -> bool:
        """Whether every type that could serve `need` could not be launched lately."""
        return self.refusals.stops_all(now, (index for tier in self._tiers_for(need) for index in tier))

    def refused(self, now: int, need: int) -> int:
        """The preferred type for `need`, if no type that could serve it could be launched lately; or -1."""
        if self._gangs and self._gangs[need] is not None:
            return next((each for each in self.gang_types(need)[:1] if self.gang_cools(now, need)), -1)
        return self._tiers_for(need)[0][-1] if self.all_cooling(now, need) else -1

    def launching(self, need: int) -> bool:
        """Whether an instance that could serve `need` is booting."""
        asked = self._needs[need]
        return any(count and self._types[each].holds(asked) for each, count in self.booting.items())

    # --- multi-node jobs ----------------------------------------------------------------------

    def gang_types(self, need: int) -> list[int]:
        """The types on which a multi-node job of `need` can run here, in order of preference.

        A quota that allows too few instances of a type leaves the next one.
        """
        found = self._gang_types.get(need)
        if found is None:
            gang = self._gangs[need]
            assert gang is not None
            types = gang_types(self._types, self._plan, self._needs[need], gang)
            found = [index for index in types if self._may_run(index, len(gang.nodes))]
            self._gang_types[need] = found
        return found

    def gang_hosts(self, need: int) -> list[int]:
        """Likewise of instances that are there, which came before maxvCpus was lowered."""
        gang = self._gangs[need]
        if gang is None or self.highest_max == self._plan.max_vcpus:
            return self.gang_types(need)
        before = replace(self._plan, max_vcpus=self.highest_max)
        return gang_types(self._types, before, self._needs[need], gang)

    def can_gather(self, need: int) -> bool:
        """Whether instances for all nodes are there, are booting, or may be launched; jobs on them aside."""
        for type_index in self.gang_types(need)[:1]:
            missing = max(self._nodes(need) - self._present(type_index), 0)
            return self._plan.enabled and self._has_room_for(missing, type_index)
        return False

    def gang_cools(self, now: int, need: int) -> bool:
        """Whether the type on which a multi-node job would run could not be launched lately."""
        nodes = self._nodes(need)
        return any(self.refusals.stops(now, each, nodes) for each in self.gang_types(need)[:1])

    def may_gather(self, now: int, need: int) -> bool:
        """As `can_gather`, and what is missing may be launched now."""
        present = self._present(self.gang_types(need)[0])
        return present >= self._nodes(need) or (self.can_gather(need) and not self.gang_cools(now, need))

    def keep_for(self, need: int) -> None:
        """A multi-node job that is next waits for its last instances to boot: do not give back the others."""
        for type_index in self.gang_types(need)[:1]:
            nodes, kept = self._nodes(need), self.kept.get(type_index, 0)
            if self._present(type_index) - kept >= nodes:
                self.kept[type_index] = kept + nodes

    def gather(self, now: int, need: int, jobs: int) -> tuple[list[int], int]:
        """Types to launch for multi-node jobs, and how many jobs remain: for each all that is missing, or
        nothing, so that two of them never hold parts of what each other needs.

        There is no other type if the preferred one cannot be launched [UG: allocation-strategies].
        """
        launches: list[int] = []
        for type_index in self.gang_types(need)[:1]:
            nodes, machine = self._nodes(need), self._types[type_index]
            while jobs:
                claimed = self._gathered.get(type_index, 0)
                here = min(max(self._present(type_index) - claimed, 0), nodes)
                missing = nodes - here
                cools = self.refusals.stops(now, type_index, nodes)
                if missing and (
                    cools or not self._plan.enabled or not self._has_room_for(missing, type_index)
                ):
                    break
                for _ in range(missing):
                    self._count_launch(type_index)
                    launches.append(type_index)
                self._gathered[type_index] = claimed + nodes
                self._claim(machine, here)
                jobs -= 1
        return launches, jobs

    # --- one scaling decision -----------------------------------------------------------------

    def begin(self) -> None:
        """A scaling decision begins: all free and booting capacity is yet unclaimed."""
        self._usable_free = self._fleet.free_vcpus
        self._room = Room()
        self._gathered = {}
        for type_index in sorted(self.booting):
            if self.booting[type_index]:
                self._room_of(type_index).add(self._types[type_index], self.booting[type_index])

    def absorb(self, need: int, jobs: int) -> int:
        """Claim free, then booting capacity for `jobs` jobs of `need`; gives how many remain."""
        vcpus = self._needs[need].vcpus
        enough = min(jobs, self._usable_free // vcpus) if vcpus else jobs
        if enough:
            taken = self._fleet.slots(need, enough)
            self._usable_free -= taken * vcpus
            jobs -= taken
        return self._room.fill(self._needs[need], jobs) if jobs else 0

    def grow(self, now: int, unmet: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
        """Types to launch for `unmet` pairs (need, jobs), in order, and how many jobs of each pair remain.

        The caller turns each type into an instance; `provisioned` and `booting` count it already.
        """
        pending = sum(self._needs[need].vcpus * jobs for need, jobs in unmet)
        launches: list[int] = []
        remaining: list[int] = []
        for need, wanted in unmet:
            jobs = self._room.fill(self._needs[need], wanted)
            pending -= (wanted - jobs) * self._needs[need].vcpus
            while jobs and self.below_max() and self.suits(need):
                type_index = self._choose(now, need, min(pending, self._plan.max_vcpus - self.provisioned))
                if type_index < 0:
                    break
                self._count_launch(type_index)
                launches.append(type_index)
                self._room.add(self._types[type_index], 1)
                left = self._room.fill(self._needs[need], jobs)
                pending -= (jobs - left) * self._needs[need].vcpus
                jobs = left
            remaining.append(jobs)
        return launches, remaining

    def keep_minimum(self, now: int) -> tuple[list[int], bool]:
        """Types to launch for minvCpus and `desired`, whatever waits; and whether some could not be had."""
        wanted = max(self._plan.min_vcpus, self.desired)
        self.desired = 0
        launches: list[int] = []
        while (left := wanted - self._lasting) > 0 and self.provisioned < self._plan.max_vcpus:
            type_index = self._pick(now, tiers_of(self._types, self._plan, NO_NEED), left)
            if type_index < 0:
                return launches, True
            self._count_launch(type_index)
            launches.append(type_index)
        return launches, False

    # --- what happened ------------------------------------------------------------------------

    def ready(self, instance: Instance) -> None:
        self.booting[instance.type] -= 1

    def launch_failed(self, now: int, instance: Instance, closed: Sequence[int]) -> None:
        """All types of `closed` will be refused until an instance has gone."""
        self.booting[instance.type] -= 1
        self.provisioned -= instance.vcpus
        present = self._present(instance.type) if closed and self._fleet.empties is not None else 0
        self.refusals.note(now, instance.type, closed, present)

    def lost(self, instance: Instance) -> None:
        if instance.state == BOOTING:
            self.booting[instance.type] -= 1
        elif instance.state == RETIRING:
            self.retiring -= instance.vcpus
        self.provisioned -= instance.vcpus

    def retire(self, now: int, instance: Instance) -> None:
        """An update replaces the instance, which is out of its fleet."""
        if instance.state == BOOTING:
            self.booting[instance.type] -= 1
        instance.state = RETIRING
        self.retiring += instance.vcpus
        if not instance.jobs:
            self._leaving.append((now, instance))

    def became_idle(self, now: int, instance: Instance, *, ran: bool) -> int:
        """The instance has no job any more, or yet; gives when it may be given back."""
        if instance.state == RETIRING:
            self._leaving.append((now, instance))
            return now
        instance.idle_since = now
        instance.has_run |= ran
        limit = self._delay_us(ran=ran)
        if limit == NEVER:
            return NEVER
        self._idle[limit].append((now, instance))
        return now + limit

    # --- scale-in -----------------------------------------------------------------------------

    def scale_in(self, now: int) -> list[Instance]:
        """Instances to terminate now; each is idle, and minvCpus stays provisioned.

        RETIRING ones go first, without a delay, whatever minvCpus says: they are replaced.
        """
        going = [instance for _, instance in self._leaving if instance.state == RETIRING]
        self._leaving.clear()
        for instance in going:
            self.retiring -= instance.vcpus
            self.provisioned -= instance.vcpus
        for limit, idle in self._idle.items():
            while idle and idle[0][0] + limit <= now:
                since, instance = idle.popleft()
                if instance.idle_since == since and instance.state == READY and not instance.jobs:
                    self._held.append((since, instance))
        if not self._held:
            return going
        held: list[tuple[int, Instance]] = []
        for since, instance in self._held:
            if instance.idle_since != since or instance.state != READY or instance.jobs:
                continue
            if self.kept.get(instance.type):
                self.kept[instance.type] -= 1
                held.append((since, instance))
            elif self._lasting - instance.vcpus >= self._plan.min_vcpus:
                self.provisioned -= instance.vcpus
                instance.idle_since = -1  # used for no time at all, it may be listed twice
                going.append(instance)
            else:
                held.append((since, instance))
        self._held = held
        return going

    def next_idle_us(self) -> int:
        """When the oldest idleness reaches its limit; -1 if nothing is idle."""
        due = self._leaving[0][0] if self._leaving else -1
        for limit, idle in self._idle.items():
            while idle:
                since, instance = idle[0]
                if instance.idle_since == since and instance.state == READY and not instance.jobs:
                    due = since + limit if due < 0 else min(due, since + limit)
                    break
                idle.popleft()
        return due

    # --- inside -------------------------------------------------------------------------------

    @property
    def _lasting(self) -> int:
        """The vCPUs that are there to stay."""
        return self.provisioned - self.retiring

    def _delay_us(self, *, ran: bool) -> int:
        """How long an idle instance is kept, depending on whether it has run a job [spec 3.8]."""
        plan = self._plan
        usual = self._policy.idle_scale_in_us if plan.idle_us < 0 else plan.idle_us
        return (ran and plan.scale_down_delay_us) or usual

    def _nodes(self, need: int) -> int:
        gang = self._gangs[need]
        assert gang is not None
        return len(gang.nodes)

    def _present(self, type_index: int) -> int:
        """Instances of a type that are empty or boot."""
        assert self._fleet.empties is not None
        return len(self._fleet.empties.get(type_index, ())) + self.booting.get(type_index, 0)

    def _has_room_for(self, count: int, type_index: int) -> bool:
        """Whether so many more stay within maxvCpus; for multi-node jobs there is no overshoot."""
        return self.provisioned + count * self._types[type_index].vcpus <= self._plan.max_vcpus

    def _claim(self, machine: MachineType, count: int) -> None:
        """Empty or booting instances are not there for other jobs."""
        boots = min(self._room.unclaimed(machine), count)
        if boots:
            self._room.add(machine, -boots)
        self._usable_free -= (count - boots) * machine.usable_vcpus

    def _count_launch(self, type_index: int) -> None:
        self.provisioned += self._types[type_index].vcpus
        self.booting[type_index] = self.booting.get(type_index, 0) + 1

    def _tiers_for(self, need: int) -> list[list[int]]:
        tiers = self._tiers.get(need)
        if tiers is None:
            tiers = tiers_of(self._types, self._plan_for(need), self._needs[need])
            if not any(self._may_run(index, 1) for tier in tiers for index in tier):
                tiers = []
            self._tiers[need] = tiers
        return tiers

    def _room_of(self, _type_index: int) -> Room:
        """Where instances of a type that boot are counted."""
        return self._room

    def _plan_for(self, _need: int) -> EnvironmentPlan:
        """The environment with the types that jobs of a need may have."""
        return self._plan

    def _choose(self, now: int, need: int, room_vcpus: int) -> int:
        return self._pick(now, self._tiers_for(need), room_vcpus)

    def _pick(self, now: int, tiers: list[list[int]], room_vcpus: int) -> int:
        """The type to launch, or -1 if none can be launched now."""
        until = self.refusals.until
        for tier in tiers:
            usable = [index for index in tier if until.get(index, -1) <= now] if until else tier
            if not self._plan.overshoots:
                left = self._plan.max_vcpus - self.provisioned
                usable = [index for index in usable if self._types[index].vcpus <= left]
            if usable:
                return pick_size(self._types, usable, self._policy.size_tiebreak, room_vcpus)
        return -1
