"""A second simulated driver, on a bare heap instead of SimPy: slow, obvious, and written apart.

It shares the scheduler and the world with the real one, and nothing else; both must record the same bytes.
Every law of the scheduler is checked after every decision, and each pass is made to look at all heads of
queues anew, which as a rule it may spare itself.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, NamedTuple

from batchsim.core import invariants
from batchsim.core.commands import EVICT, FAIL, LAUNCH, START, START_NODES, STOP, TERMINATE
from batchsim.core.grid import NEVER
from batchsim.core.scheduler import Scheduler
from batchsim.core.states import FAILED, RUNNABLE, RUNNING, STARTING, SUCCEEDED
from batchsim.drivers.world import Bandwidth
from tests.harness import check_reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchsim.core.plan import Plan
    from batchsim.drivers.world import World
    from batchsim.results.recording import Recorder
    from batchsim.workload.steps import Steps

# What happens at one instant, in this order. Nodes are not the scheduler's business and come first.
NODE_STARTED, NODE_EXIT, EXIT, LOST, READY, LAUNCH_FAILED, JOINED, STARTED, SUBMIT, REQUEST, WAKE = range(11)


def heap_simulate(plan: Plan, world: World, recorder: Recorder, horizon_us: int | None = None) -> Scheduler:
    """As `batchsim.drivers.simulated.simulate`."""
    return _Driver(plan, world, recorder).run(horizon_us)


@dataclass
class _Attempt:
    """One try of a job. `exit` is how it is going to end; until it is known, as the world says."""

    job: int
    number: int
    instances: Sequence[int]
    main: int
    over: bool = False
    stopped: bool = False
    ends_us: int = -1
    exit: tuple[int | None, str, str] | None = None
    nodes: list[_Node] = field(default_factory=list)


@dataclass
class _Node:
    number: int
    attempt: _Attempt
    row: int
    runs: bool = False
    over: bool = False


def follow(pulls: Sequence[tuple[int, int]], width: Fraction | None = Fraction(1)) -> list[int]:
    """When pulls end: (since when, how long alone) of each, in order of time.

    width   how many have room at full rate
    """
    left = [Fraction(lasting) for _, lasting in pulls]
    ends = [-1] * len(pulls)
    now = 0
    while -1 in ends:
        on = [n for n, (since, _) in enumerate(pulls) if since <= now and ends[n] < 0]
        later = [since for since, _ in pulls if since > now]
        if not on:
            now = min(later)
            continue
        slower = max(Fraction(1), len(on) / width) if width is not None else Fraction(1)
        until = min([now + ceil(min(left[n] for n in on) * slower), *later])
        for n in on:
            left[n] -= (until - now) / slower
            if left[n] <= 0:
                ends[n] = until
        now = until
    return ends


def follow_all(pulls: Sequence[Pull], limits: Sequence[Callable[[int], int]], registry: int) -> list[int]:
    """When pulls end from one registry; -1 of those that are cut off before.

    `limits` gives for each what it may have at most beside so many pulls of its instance, itself included.
    """
    left = [work for _, work, _, _ in pulls]
    ends = [since if work == 0 else -1 for since, work, _, _ in pulls]
    now = 0
    while True:
        on = [
            n
            for n, (since, _, _, cut) in enumerate(pulls)
            if since <= now and ends[n] < 0 and not 0 <= cut <= now
        ]
        changes = [at for since, _, _, cut in pulls for at in (since, cut) if at > now]
        if not on and not changes:
            return ends
        beside = Counter(pulls[n].instance for n in on)
        most = {n: limits[n](beside[pulls[n].instance]) for n in on}
        level = max(most.values(), default=0)
        if sum(most.values()) > registry:
            levels = range(1, level + 1)
            level = max(
                1, bisect_right(levels, registry, key=lambda w: sum(min(w, m) for m in most.values()))
            )
        rates = {n: min(level, most[n]) for n in on}
        until = min([*changes, *(now - -left[n] // rate for n, rate in rates.items())])
        for n, rate in rates.items():
            left[n] -= rate * (until - now)
            if left[n] <= 0:
                ends[n] = until
        now = until


class Pull(NamedTuple):
    """How much of what, from when on; `cut_us` is when its instance goes, -1: not yet."""

    since_us: int
    work: int
    instance: int
    cut_us: int


class _Driver:
    def __init__(self, plan: Plan, world: World, recorder: Recorder) -> None:
        self.core = Scheduler(plan)
        self.plan, self.world, self.recorder = plan, world, recorder
        self.heap: list[tuple[int, int, int, int]] = []
        self.things: list[object] = []  # what the entries of the heap are about, where a number does not do
        self.batch: list[tuple[int, int, int, int]] = []
        self.attempts: dict[int, _Attempt] = {}
        self.lost: set[int] = set()
        self.why: dict[int, str] = {}  # of launches, "" where they were not refused
        self.slot_of: dict[int, int] = {}
        self.group_of: dict[int, str] = {}
        self.buckets: dict[str, tuple[int, int]] = {}
        self.image_at: dict[tuple[int, int], int] = {}
        self.begun: dict[int, list[tuple[int | None, int, int]]] = {}  # image, since when, how long alone
        self.ordered: list[tuple[int, int, int, int]] = []  # instance, image, since when, how long alone
        self.all_waiters: list[tuple[_Attempt | _Node, list[int], int, int]] = []
        self.waiters: dict[int, list[tuple[_Attempt | _Node, list[int], int, int]]] = {}

    def at(self, instant: int, kind: int, index: int, thing: object = None) -> None:
        self.things.append(thing)
        heapq.heappush(self.heap, (instant, kind, index, len(self.things) - 1))

    def run(self, horizon_us: int | None) -> Scheduler:
        core, heap = self.core, self.heap
        self.at(0, WAKE, 0)
        for row, machines in enumerate(self.world.machines):
            if machines.joins_us > 0:
                self.at(machines.joins_us, JOINED, row)
            else:
                self.join(0, row)
        for job, submit in enumerate(self.world.submit_us):
            self.at(submit, SUBMIT, job)
        for index, request in enumerate(self.world.requests):
            self.at(request.at_us, REQUEST, index)
        while heap and (horizon_us is None or heap[0][0] < horizon_us):
            now = heap[0][0]
            self.batch = []  # a consequence without delay belongs to the next round, so the batch comes first
            while heap and heap[0][0] == now:
                self.batch.append(heapq.heappop(heap))
            while self.batch:
                _, kind, index, thing = self.batch.pop(0)
                self.happen(now, kind, index, self.things[thing])
            core.dispatch._changes_seen = -1
            commands = core.decide(now)
            invariants.check(core)
            check_reasons(core)
            for command in commands:
                self.obey(now, *command)
            wakeup = core.next_wakeup()
            if wakeup is not None and all(entry[0] != wakeup for entry in heap):
                self.at(wakeup, WAKE, 0)
        self.close(horizon_us)
        return core

    # --- what happens -------------------------------------------------------------------------

    def happen(self, now: int, kind: int, index: int, thing: object) -> None:
        core = self.core
        if kind == SUBMIT:
            core.job_submitted(now, index)
        elif kind == READY:
            if index not in self.lost and index not in core.updates.replaced:
                core.instance_ready(now, index)
        elif kind == LAUNCH_FAILED:
            if index in self.lost or index in core.updates.replaced:
                return
            core.launch_failed(now, index, self.closed(now, self.recorder.i_environment[index]))
            self.recorder.i_ended_us[index] = now
            self.recorder.i_end_reason[index] = self.why[index]
        elif kind == LOST:
            if thing != "evicted":
                self.instance_lost(now, index)
            elif self.recorder.i_ended_us[index] < 0:
                text, why = (
                    f"Host EC2 (instance i-{index:017x}) terminated.",
                    "replaced: infrastructure update",
                )
                self.end_instance(now, index, text, why)
        elif kind == REQUEST:
            self.request(now, index)
        elif kind == JOINED:
            if self.world.goes_on or (self.open_jobs() and (self.helps(index) or self.goes_on())):
                self.join(now, index)
        elif kind == STARTED:
            assert isinstance(thing, _Attempt)
            on_its_way = self.core.state[thing.job] == STARTING and not thing.over and thing.exit is None
            if on_its_way and self.recorder.started_us[thing.job] == now:
                self.started(now, thing)
        elif kind == EXIT:
            assert isinstance(thing, _Attempt)
            if not thing.over and thing.ends_us == now:
                self.exited(now, thing)
        elif kind in {NODE_STARTED, NODE_EXIT}:
            assert isinstance(thing, _Node)
            self.node(now, kind, thing)

    def join(self, now: int, row: int) -> None:
        machines, recorder = self.world.machines[row], self.recorder
        for _ in range(machines.count):
            index = self.core.instance_joined(now, machines.environment, machines.type)
            recorder.add_instance(machines.environment, machines.type, now)
            recorder.i_running_us[index] = recorder.i_ready_us[index] = now
            if machines.leaves_us < NEVER:
                self.at(machines.leaves_us, LOST, index)

    def open_jobs(self) -> bool:
        return any(state not in {SUCCEEDED, FAILED} for state in self.core.state)

    def instance_lost(self, now: int, index: int) -> None:
        if self.recorder.i_ended_us[index] >= 0 or not self.goes_on():
            return
        text = f"Host EC2 (instance i-{index:017x}) terminated."
        why = "interrupted: Spot"
        if self.plan.environments[self.recorder.i_environment[index]].per_job:
            text = "Your Spot Task was interrupted."
            why = "interrupted: Fargate Spot"
            lifetime = self.world.tasks.lifetime_us
            if lifetime and now == self.recorder.i_running_us[index] + lifetime:
                text = "Task terminated: Fargate keeps no task for longer"
                why = "expired: Fargate"
        if not self.plan.environments[self.recorder.i_environment[index]].managed:
            why = "left: machine of the user"
        self.end_instance(now, index, text, why)

    def end_instance(self, now: int, index: int, text: str, why: str) -> None:
        self.lost.add(index)
        self.recorder.i_ended_us[index] = now
        self.recorder.i_end_reason[index] = why
        starting = [job for job, state in enumerate(self.core.state) if state == STARTING]
        for job in self.core.instance_lost(now, index, text):
            if job in starting:
                self.recorder.started_us[job] = -1
            attempt = self.attempts[job]
            attempt.over = True
            self.end_nodes(now, attempt)
            self.recorder.attempts[job] = attempt.number
            self.recorder.ended_us[job] = now
            self.recorder.exit_code[job] = -1
            self.recorder.status_reason[job] = text
            if self.core.state[job] == RUNNABLE:
                self.recorder.keep_attempt(job)
        self.follow_registry()

    def started(self, now: int, attempt: _Attempt) -> None:
        self.core.attempt_started(now, attempt.job)
        runs_us = self.world.runtime_us[attempt.job]
        self.will_end(attempt, now + self.on_instance(runs_us, attempt.instances[attempt.main]))
        job_class = self.world.class_of[attempt.job]
        for number, instance in enumerate(attempt.instances):
            if len(attempt.instances) == 1 or number == attempt.main:
                continue
            row = self.recorder.add_node(attempt.job, attempt.number, number, instance, now)
            node = _Node(number, attempt, row)
            attempt.nodes.append(node)
            starting = now + self.world.dispatch_us
            images = self.world.node_images[job_class][number] if self.world.node_images else ()
            after = self.world.container_start(attempt.job, attempt.number, number)
            there = self.pull(attempt.job, instance, images, starting, (node, after))
            started = there + after
            self.recorder.n_starting_us[node.row] = starting
            self.recorder.n_pulled_us[node.row] = there if images else -1
            self.recorder.n_started_us[node.row] = started
            self.at(started, NODE_STARTED, 0, node)

    def node(self, now: int, kind: int, node: _Node) -> None:
        recorder = self.recorder
        if node.over:
            return
        if kind == NODE_STARTED:
            if recorder.n_started_us[node.row] != now or node.runs:
                return  # put off, or put off to and fro
            node.runs = True
            runs_us = self.world.time_of_node(node.attempt.job, node.number)
            ends = now + self.on_instance(runs_us, node.attempt.instances[node.number])
            if ends > now:
                self.at(ends, NODE_EXIT, 0, node)
                return
        node.over = True
        recorder.n_ended_us[node.row] = now
        recorder.n_exit_code[node.row] = 0

    def on_instance(self, runs_us: int, instance: int) -> int:
        """Divided by the speed of the instance's type, in exact fractions; halves go up."""
        speed = Fraction(self.world.speeds.get(self.recorder.i_type[instance], 10**6), 10**6)
        return floor(runs_us / speed + Fraction(1, 2))

    def exited(self, now: int, attempt: _Attempt) -> None:
        recorder, job = self.recorder, attempt.job
        attempt.over = True
        self.end_nodes(now, attempt)
        if attempt.exit is None:
            code, reason = self.world.exit_of(job, attempt.number)
            attempt.exit = (code, "Essential container in task exited", reason)
        code, status_reason, reason = attempt.exit
        state = self.core.attempt_exited(now, job, code, status_reason, reason)
        recorder.attempts[job] = attempt.number
        recorder.ended_us[job] = now
        recorder.exit_code[job] = -1 if code is None else code
        if status_reason != "Essential container in task exited":
            recorder.status_reason[job] = status_reason
        if reason:
            recorder.reason[job] = reason
        machine = attempt.instances[attempt.main]
        if self.plan.environments[recorder.i_environment[machine]].per_job:
            recorder.i_ended_us[machine] = now
            recorder.i_end_reason[machine] = "task stopped"
            self.follow_registry()
        if state == RUNNABLE:
            recorder.keep_attempt(job)

    def end_nodes(self, now: int, attempt: _Attempt) -> None:
        for node in attempt.nodes:
            if not node.over:
                node.over = True
                self.recorder.n_ended_us[node.row] = now
                if node.runs:
                    after, code = self.reaction(attempt.job)
                    self.recorder.n_exit_code[node.row] = 137 if after else code

    def request(self, now: int, index: int) -> None:
        request = self.world.requests[index]
        if hasattr(request, "update"):
            self.core.plan_updated(now, request.update)
            return
        if hasattr(request, "operation"):
            self.core.consumable_updated(now, request.resource, request.operation, request.quantity)
            return
        tell = {"cancel": self.core.job_cancelled, "terminate": self.core.job_terminated}[request.action]
        for rows in request.rows:
            for job in rows:
                if self.world.submit_us[job] <= now:
                    tell(now, job, request.reason)

    # --- what is asked for --------------------------------------------------------------------

    def obey(self, now: int, kind: int, *arguments: object) -> None:
        core, recorder = self.core, self.recorder
        if kind == START:
            job, instance = arguments
            self.begin(now, _Attempt(job, self.core.attempt[job], [instance], 0))
        elif kind == START_NODES:
            job, instances = arguments
            gang = self.plan.gangs[self.plan.classes[self.plan.class_of[job]].need]
            assert gang is not None
            self.begin(now, _Attempt(job, self.core.attempt[job], instances, gang.main))
        elif kind == STOP:
            self.stop(now, self.attempts[arguments[0]])
        elif kind == FAIL:
            recorder.ended_us[arguments[0]] = now
        elif kind == LAUNCH:
            index, environment, type_index = arguments
            assert recorder.add_instance(environment, type_index, now) == index
            if self.plan.environments[environment].per_job:
                return
            draw = (self.world.seed, self.world.replication, index)
            asked = now + self.world.boot.draw_reaction(*draw)
            self.why[index] = self.ask(asked, now, index, environment, type_index)
            if self.why[index]:
                self.at(asked, LAUNCH_FAILED, index)
                return
            running, ready = self.world.boot.draw(*draw)
            if self.world.interruptions is not None:
                lost = self.world.interruptions.lost_at(*draw, type_index, now + running)
                if lost != NEVER:
                    self.at(lost, LOST, index)
            told = self.told(asked, index, environment, type_index)
            if told is not None:
                self.at(told + self.world.spot_notice_us, LOST, index)
            recorder.i_running_us[index] = now + running
            if environment not in self.world.never_registers:
                recorder.i_ready_us[index] = now + running + ready
                self.at(now + running + ready, READY, index)
        elif kind == EVICT:
            self.at(now, LOST, arguments[0], "evicted")
        else:
            assert kind == TERMINATE
            recorder.i_ended_us[arguments[0]] = now
            why = "scaled in: idle"
            if arguments[0] in core.updates.replaced:
                why = "replaced: infrastructure update"
            if arguments[0] in core.updates.registration.failed:
                why = "given up: never registered"
            recorder.i_end_reason[arguments[0]] = why
            self.follow_registry()

    def there(self) -> list[int]:
        ended = self.recorder.i_ended_us
        return [index for index, why in self.why.items() if not why and ended[index] < 0]

    def ask(self, asked: int, now: int, index: int, environment: int, row: int) -> str:
        capacity, recorder = self.world.capacity, self.recorder
        draw = (self.world.seed, self.world.replication, index)
        for quota in capacity.quotas:
            mine = [each for each in self.there() if recorder.i_type[each] in quota.rows]
            used = sum(self.plan.types[recorder.i_type[each]].vcpus for each in mine)
            if row in quota.rows and used + self.plan.types[row].vcpus > quota.vcpus:
                return "MaxSpotInstanceCountExceeded" if quota.spot else "VcpuLimitExceeded"
        group = capacity.group(environment, now)
        if capacity.refuses(*draw, row) or (group and capacity.has_no_room(draw)):
            return "InsufficientInstanceCapacity"
        why = "InsufficientInstanceCapacity"
        for zone in capacity.zones_in_order(draw):
            if zone not in self.zones_of(group):
                continue
            pool = (row, zone)
            bid = capacity.bid(environment, row, now)
            if pool in capacity.prices and 0 <= bid <= capacity.prices[pool].at(asked):
                why = "SpotMaxPriceTooLow"
            elif not capacity.is_short(draw, pool, asked):
                mine = [each for each in self.there() if (recorder.i_type[each], self.zone_of(each)) == pool]
                free = set(range(len(mine) + 1)) - {self.slot_of[each] for each in mine}
                slot = self.slot_of[index] = min(free)
                if pool not in capacity.slots or slot < capacity.slots[pool].at(asked):
                    if capacity.zones > 1:
                        recorder.i_zone[index] = zone
                    self.group_of[index] = group
                    return ""
        return why

    def closed(self, now: int, environment: int) -> tuple[int, ...]:
        """The types that are refused whatever is drawn, as long as those that are there stay."""
        capacity, recorder, found = self.world.capacity, self.recorder, []

        def at_last(steps: Steps | None, otherwise: float) -> float:
            later = () if steps is None else [at for at in steps.at_us if at > now]
            return otherwise if steps is None or later else steps.at(now)

        for row in self.core.plan.environments[environment].types:
            bid = capacity.bid(environment, row, now)
            over = False
            for quota in capacity.quotas:
                mine = [each for each in self.there() if recorder.i_type[each] in quota.rows]
                used = sum(self.plan.types[recorder.i_type[each]].vcpus for each in mine)
                over |= row in quota.rows and used + self.plan.types[row].vcpus > quota.vcpus
            over |= capacity.shortage_of.get(row, 0.0) >= 1
            shut, zones = 0, self.zones_of(capacity.group(environment, now))
            for pool in [(row, zone) for zone in zones]:
                mine = {
                    self.slot_of[each]
                    for each in self.there()
                    if (recorder.i_type[each], self.zone_of(each)) == pool
                }
                lowest = min(set(range(len(mine) + 1)) - mine)
                shut += (
                    at_last(capacity.slots.get(pool), lowest + 1) <= lowest
                    or 0 <= bid <= at_last(capacity.prices.get(pool), -1)
                    or any(
                        at_last(each.steps, 0) >= 1 or min(each.hourly, default=0) >= 1
                        for each in capacity.shortages
                        if pool in each.pools
                    )
                )
            if over or shut == len(zones):
                found.append(row)
        return tuple(found)

    def zones_of(self, group: str) -> set[int]:
        """Where instances of a placement group may be: where they are, if there are any."""
        mine = {self.zone_of(each) for each in self.there() if group and self.group_of[each] == group}
        assert len(mine) <= 1
        return mine or set(range(self.world.capacity.zones))

    def zone_of(self, index: int) -> int:
        return self.recorder.i_zone.get(index, 0)

    def told(self, asked: int, index: int, environment: int, row: int) -> int | None:
        capacity, pool = self.world.capacity, (row, self.zone_of(index))
        slots, prices = capacity.slots.get(pool), capacity.prices.get(pool)
        bid = capacity.bid(environment, row, self.recorder.i_requested_us[index])
        ends = []
        for at, there in zip(slots.at_us, slots.values, strict=True) if slots else ():
            if at > asked and there <= self.slot_of[index]:
                ends.append(at)
        for at, price in zip(prices.at_us, prices.values, strict=True) if prices else ():
            if at > asked and 0 <= bid <= price:
                ends.append(at)
        return min(ends, default=None)

    def price(self, last: int) -> None:
        recorder = self.recorder
        for index, row in enumerate(recorder.i_type):
            steps = self.world.capacity.prices.get((row, self.zone_of(index)))
            begin, end = recorder.i_running_us[index], recorder.i_ended_us[index]
            end = last if end < 0 else end
            if steps is not None and 0 <= begin <= end:
                seconds = max(60, -((begin - end) // 1_000_000))
                paid = sum(int(steps.at(begin + second * 1_000_000)) for second in range(seconds))
                recorder.i_uusd_per_hour[index] = (2 * paid + seconds) // (2 * seconds)

    def begin(self, now: int, attempt: _Attempt) -> None:
        world, recorder, job = self.world, self.recorder, attempt.job
        self.attempts[job] = attempt
        instance = attempt.instances[attempt.main]
        recorder.instance[job] = instance
        recorder.placed_us[job] = now
        recorder.starting_us[job] = starting = now + world.dispatch_us
        if world.tasks is not None and recorder.i_environment[instance] in world.tasks.bucket_of:
            starting = self.provisioned(now, instance)
            recorder.placed_us[job] = recorder.starting_us[job] = starting
            recorder.i_running_us[instance] = recorder.i_ready_us[instance] = starting
        if job in self.core.gpus_of:
            recorder.gpus[job] = self.core.gpus_of[job]
        failure = world.start_failure(job, attempt.number)
        after = 0 if failure else world.container_start(job, attempt.number)
        if world.startup_us and not failure:
            after += world.startup_us[job]
        in_vain = failure.startswith("CannotPullContainerError")
        images = world.images[world.class_of[job]]
        there = self.pull(job, instance, images, starting, (attempt, after), in_vain=in_vain)
        if images and not in_vain:
            recorder.pulled_us[job] = there
        if failure:
            attempt.exit = (None, "Task failed to start", failure)
            self.will_end(attempt, there)
            return
        started = there + after
        recorder.started_us[job] = started
        if started == now:
            self.started(now, attempt)
        else:
            self.at(started, STARTED, job, attempt)

    def provisioned(self, now: int, instance: int) -> int:
        """When a task is there; the bucket holds time, and each launch takes an interval of it."""
        world, tasks = self.world, self.world.tasks
        bucket = tasks.bucket_of[self.recorder.i_environment[instance]]
        full = tasks.burst * tasks.interval_us
        level, since = self.buckets.get(bucket, (full, 0))
        level = min(full, level + now - since) - tasks.interval_us
        self.buckets[bucket] = level, now
        there = now + max(0, -level) + tasks.provision_us(world.seed, world.replication, instance)
        if tasks.lifetime_us:
            self.at(there + tasks.lifetime_us, LOST, instance)
        row = self.recorder.i_type[instance]
        if world.interruptions is not None and row in world.interruptions.tasks:
            lost = world.interruptions.lost_at(world.seed, world.replication, instance, row, there)
            if lost != NEVER:
                self.at(lost, LOST, instance)
        return there

    def pull(
        self,
        job: int,
        instance: int,
        images: Sequence[int],
        starting: int,
        who: tuple[_Attempt | _Node, int],
        *,
        in_vain: bool = False,
    ) -> int:
        lasts = {image: self.world.pull_time(self.world.class_of[job], instance, image) for image in images}
        if self.world.bandwidth.registry:
            return self.registry_pull(instance, lasts, starting, who, in_vain=in_vain)
        if self.world.bandwidth != Bandwidth():
            return self.shared_pull(instance, lasts, starting, who, in_vain=in_vain)
        done = {image: self.image_at.get((instance, image), starting + lasts[image]) for image in images}
        if not in_vain:
            self.image_at.update({(instance, image): at for image, at in done.items()})
        return max([starting, *done.values()])

    def shared_pull(
        self,
        instance: int,
        lasts: dict[int, int],
        starting: int,
        who: tuple[_Attempt | _Node, int],
        *,
        in_vain: bool,
    ) -> int:
        """Every pull of the instance is followed anew from its beginning, whenever another begins."""
        thing, after = who
        begun = self.begun.setdefault(instance, [])
        numbers = []
        for image, lasting in lasts.items():
            found = [n for n, (name, _, _) in enumerate(begun) if name == image]
            if not found:
                begun.append((None if in_vain else image, starting, lasting))
                found = [len(begun) - 1]
            numbers += found
        ends = follow([(at, lasting) for _, at, lasting in begun], self.width(instance))
        waiters = self.waiters.setdefault(instance, [])
        for other, its_numbers, since, later in waiters:
            if not other.over:
                self.put_off(other, max([since, *(ends[n] for n in its_numbers)]), later)
        if numbers:
            waiters.append((thing, numbers, starting, after))
        return max([starting, *(ends[n] for n in numbers)])

    def registry_pull(
        self,
        instance: int,
        lasts: dict[int, int],
        starting: int,
        who: tuple[_Attempt | _Node, int],
        *,
        in_vain: bool,
    ) -> int:
        """Every pull of the run is followed anew from its beginning, whenever another begins."""
        thing, after = who
        numbers = []
        for image, lasting in lasts.items():
            found = [n for n, each in enumerate(self.ordered) if each[:2] == (instance, image)]
            if not found:
                self.ordered.append((instance, -1 if in_vain else image, starting, lasting))
                found = [len(self.ordered) - 1]
            numbers += found
        ends = self.follow_registry()
        if numbers:
            self.all_waiters.append((thing, numbers, starting, after))
        return max([starting, *(ends[n] for n in numbers)])

    def follow_registry(self) -> list[int]:
        """Follow the pulls again, and put off who waits for them; also when an instance goes."""
        recorder, bandwidth = self.recorder, self.world.bandwidth
        pulls, limits = [], []
        for instance, _, since, lasting in self.ordered:
            row = recorder.i_type[instance]
            rate = bandwidth.of_types.get(row, bandwidth.of_pull)
            room = [bandwidth.networks[row]] if row in bandwidth.networks else []
            room += [rate] if bandwidth.shared else []
            pulls.append(Pull(since, lasting * rate, instance, recorder.i_ended_us[instance]))
            limits.append(lambda n, rate=rate, room=room: max(1, min([rate, *(each // n for each in room)])))
        ends = follow_all(pulls, limits, bandwidth.registry)
        for thing, numbers, since, after in self.all_waiters:
            if not thing.over:
                self.put_off(thing, max([since, *(ends[n] for n in numbers)]), after)
        return ends

    def width(self, instance: int) -> Fraction | None:
        bandwidth = self.world.bandwidth
        limits = [bandwidth.of_pull] if bandwidth.shared else []
        row = self.recorder.i_type[instance]
        limits += [bandwidth.networks[row]] if row in bandwidth.networks else []
        return Fraction(min(limits), bandwidth.of_pull) if limits else None

    def put_off(self, thing: _Attempt | _Node, there: int, after: int) -> None:
        recorder, instant = self.recorder, there + after
        if isinstance(thing, _Node):
            if not thing.runs and recorder.n_started_us[thing.row] != instant:
                recorder.n_pulled_us[thing.row] = there
                recorder.n_started_us[thing.row] = instant
                self.at(instant, NODE_STARTED, 0, thing)
        elif self.core.state[thing.job] == STARTING and not thing.stopped:
            if not (thing.exit and str(thing.exit[2]).startswith("CannotPull")):
                recorder.pulled_us[thing.job] = there
            if thing.exit is not None:
                if thing.ends_us != instant:
                    self.will_end(thing, instant)
            elif recorder.started_us[thing.job] != instant:
                recorder.started_us[thing.job] = instant
                self.at(instant, STARTED, thing.job, thing)

    def will_end(self, attempt: _Attempt, instant: int) -> None:
        attempt.ends_us = instant
        self.at(instant, EXIT, attempt.job, attempt)

    def stop(self, now: int, attempt: _Attempt) -> None:
        if self.core.state[attempt.job] == STARTING:
            attempt.exit = (None, "Essential container in task exited", "")
            attempt.stopped = True
            self.recorder.started_us[attempt.job] = -1
            self.will_end(attempt, max(now, self.recorder.placed_us[attempt.job]))
            return
        assert self.core.state[attempt.job] == RUNNING
        after, code = self.reaction(attempt.job)
        if now + after < attempt.ends_us:
            attempt.exit = (code, "Essential container in task exited", "")
            self.will_end(attempt, now + after)

    def reaction(self, job: int) -> tuple[int, int]:
        outcome, grace = self.world.outcomes[self.world.class_of[job]], self.world.stop_grace_us
        if outcome.sigterm_after_us is not None and outcome.sigterm_after_us <= grace:
            return outcome.sigterm_after_us, outcome.sigterm_exit
        return grace, 137

    # --- the end ------------------------------------------------------------------------------

    def close(self, horizon_us: int | None) -> None:
        core, recorder = self.core, self.recorder
        recorder.runnable_us = core.runnable_us
        recorder.state = core.state
        recorder.attempts = type(recorder.attempts)("b", core.attempt)
        recorder.status_reason.update(core.status_reason)
        recorder.requested = core.requested
        recorder.w_queue, recorder.w_at_us = core.waits.queue, core.waits.at_us
        recorder.w_reason, recorder.w_detail = core.waits.reason, core.waits.detail
        last = max(
            [
                0,
                *self.world.submit_us,
                *core.runnable_us,
                *recorder.ended_us,
                *recorder.e_ended_us,
                *recorder.i_ready_us,
                *recorder.i_ended_us,
            ]
        )
        if horizon_us is not None:
            last = min(last, horizon_us)
        if all(state in {SUCCEEDED, FAILED} for state in core.state):
            self.price(last)
            recorder.finish(last, "finished")
        elif horizon_us is not None and self.goes_on():
            for job, state in enumerate(core.state):
                if state == STARTING and recorder.placed_us[job] >= horizon_us:
                    recorder.placed_us[job] = recorder.instance[job] = -1
                    recorder.attempts[job] -= 1
            self.price(horizon_us)
            recorder.finish(horizon_us, "horizon")
        else:
            recorder.status_reason.update(core.waiting_reasons())
            self.price(last)
            recorder.finish(last, "stalled")

    def goes_on(self) -> bool:
        """Whether anything that is to come matters to the scheduler."""
        if self.core.next_wakeup() is not None or self.world.goes_on:
            return True
        for _, kind, index, thing in [*self.heap, *self.batch]:
            attempt = self.things[thing]
            if kind in {READY, LAUNCH_FAILED} and (index in self.lost or index in self.core.updates.replaced):
                continue
            if kind in {READY, LAUNCH_FAILED, SUBMIT} or (kind in {STARTED, EXIT} and not attempt.over):
                return True
            if (kind == REQUEST and self.open_jobs()) or (kind == JOINED and self.helps(index)):
                return True
        return False

    def helps(self, row: int) -> bool:
        """Whether a machine that joins is large enough for some job that is left."""
        machine, plan = self.plan.types[self.world.machines[row].type], self.plan
        left = [job for job, state in enumerate(self.core.state) if state not in {SUCCEEDED, FAILED}]
        kinds = {plan.class_of[job] for job in left}
        place = self.world.machines[row].environment
        return any(
            machine.holds(plan.needs[plan.classes[kind].need])
            and (place in plan.queues[plan.classes[kind].queue].environments or bool(plan.updates))
            for kind in kinds
        )
