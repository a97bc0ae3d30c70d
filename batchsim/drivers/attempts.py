"""What becomes of attempts in a simulated world: images, start failures, nodes, SIGTERM, exit codes.

The driver asks for instants and is there when they have come; it alone talks to the scheduler.

An image is pulled from STARTING on, all images of an attempt at once, and stays on its instance. Another
attempt that needs it waits for the pull that is under way, which goes on even if the attempt that began it is
stopped. A pull that fails takes as long and leaves nothing. Where pulls share bandwidth, one that begins puts
off those who wait for others, and one that ends may bring them on: `moved` tells whom. With a registry it is
not known ahead when images are there: then what depends on it is NEVER until `moved` tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from batchsim.core.grid import NEVER
from batchsim.core.scheduler import ESSENTIAL_CONTAINER_EXITED
from batchsim.core.states import STARTING
from batchsim.drivers import bookkeeping
from batchsim.drivers.fargate import Tasks, TokenBuckets
from batchsim.drivers.pulls import Waiter
from batchsim.drivers.registry import pulls_of
from batchsim.drivers.world import PULL_ERROR, SIGKILL_EXIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.core.plan import Plan
    from batchsim.drivers.world import Measured, World
    from batchsim.results.recording import Recorder

FAILED_TO_START: Final = "Task failed to start"  # [spec 1.6]


class Ending(NamedTuple):
    """How an attempt ended, as `Scheduler.attempt_exited` wants to know it."""

    exit_code: int | None
    status_reason: str = ESSENTIAL_CONTAINER_EXITED
    reason: str = ""


class Attempts:
    """The attempts of one run. Writes the record of how they begin, and of child nodes."""

    __slots__ = (
        "_buckets",
        "_children",
        "_container_start",
        "_endings",
        "_instances",
        "_main_of",
        "_recorder",
        "_starts_fail",
        "_tasks",
        "_waiting",
        "_world",
    )

    def __init__(self, plan: Plan, world: World, recorder: Recorder) -> None:
        self._world = world
        self._recorder = recorder
        self._waiting = pulls_of(world, recorder.i_type)
        drawn = world.container_start_us
        self._container_start = drawn if isinstance(drawn, int) else -1
        self._endings: dict[int, Ending] = {}  # of attempts that do not end by themselves
        self._tasks = world.tasks or Tasks({}, 0)
        self._buckets = TokenBuckets(self._tasks) if world.tasks else None
        self._starts_fail = any(outcome.start_failure_rate for outcome in world.outcomes)
        self._main_of = [_main_node(plan, each.need) for each in plan.classes]
        self._instances: dict[int, Sequence[int]] = {}  # of multi-node jobs, in node order
        self._children: dict[int, range] = {}  # job -> rows of its child nodes that are not cut off

    def place(self, now: int, job: int, attempt: int, instance: int) -> tuple[int, bool]:
        """The attempt has a place. Gives the next instant of its life and whether it ends there.

        If it does not, that is when it is RUNNING. NEVER: `moved` will tell.
        """
        world, recorder = self._world, self._recorder
        job_class = world.class_of[job]
        recorder.instance[job] = instance
        if self._buckets is not None and recorder.i_environment[instance] in self._tasks.bucket_of:
            recorder.placed_us[job] = recorder.starting_us[job] = there = bookkeeping.provision(
                world, self._buckets, recorder, now, instance
            )
        else:
            recorder.placed_us[job] = now
            recorder.starting_us[job] = there = now + world.dispatch_us
        if world.measured and (job, attempt) in world.measured:
            return self._place_measured(there, job, world.measured[job, attempt])
        failure = world.start_failure(job, attempt) if self._starts_fail else ""
        after = 0
        if failure:
            self._endings[job] = Ending(None, FAILED_TO_START, failure)
        else:
            after = self._container_start
            if after < 0:
                after = world.container_start(job, attempt)
            if world.startup_us:
                after += world.startup_us[job]
        images = world.images[job_class]
        if images:
            stays = not failure.startswith(PULL_ERROR)
            waiter = Waiter(job, instance, there, after, ends=bool(failure))
            there = self._waiting.images_there(waiter, job_class, images, stays=stays)
            if stays:
                recorder.pulled_us[job] = there
        there = _later(there, after)
        if not failure:
            recorder.started_us[job] = there
        return there, bool(failure)

    @property
    def puts_off(self) -> bool:
        """Whether `moved` may ever name somebody."""
        return self._waiting.puts_off

    @property
    def due_us(self) -> int:
        """When `turn` is to be called, at the latest."""
        return self._waiting.due_us

    def turn(self, now: int) -> None:
        """Let pulls begin and end; those for whom that changes anything are in `moved`."""
        self._waiting.turn(now)

    def gone(self, now: int, instance: int) -> None:
        """An instance is there no more, and nothing is pulled to it."""
        self._waiting.gone(now, instance)

    def moved(self) -> list[tuple[int, int, bool]]:
        """The jobs that were put off since this was last asked, each as `place` gives it."""
        moved = []
        recorder = self._recorder
        for waiter, there in self._waiting.moved():
            job, row, then = waiter.job, waiter.row, _later(there, waiter.after_us)
            if row < 0:
                if not waiter.ends:
                    recorder.started_us[job] = then
                if recorder.pulled_us[job] >= 0:  # not a pull in vain
                    recorder.pulled_us[job] = there
                moved.append((job, then, waiter.ends))
            else:
                recorder.n_pulled_us[row], recorder.n_started_us[row] = there, then
                recorder.n_ended_us[row] = _later(then, waiter.lasts_us)
        return moved

    def _place_measured(self, starting: int, job: int, measured: Measured) -> tuple[int, bool]:
        there = starting + measured.startup_us
        self._endings[job] = Ending(*measured[2:])
        if measured.runtime_us < 0:
            return there, True
        self._recorder.started_us[job] = there
        return there, False

    def runtime_us(self, job: int, attempt: int) -> int:
        """Of an attempt that is RUNNING."""
        world, recorder = self._world, self._recorder
        if world.measured and (measured := world.measured.get((job, attempt))) is not None:
            return measured.runtime_us
        return world.lasts_us(world.runtime_us[job], recorder.i_type[recorder.instance[job]])

    def place_nodes(self, now: int, job: int, attempt: int, instances: Sequence[int]) -> tuple[int, bool]:
        """As `place`, of a multi-node job: its main node, for which the others wait [spec 1.11]."""
        self._instances[job] = instances
        return self.place(now, job, attempt, instances[self._main_of[self._world.class_of[job]]])

    def begin_children(self, now: int, job: int, attempt: int) -> None:
        """The main node is RUNNING. When the others are to start and end is written ahead of time."""
        instances = self._instances.get(job)
        if instances is None:
            return
        world, recorder = self._world, self._recorder
        job_class = world.class_of[job]
        first = len(recorder.n_job)
        for node, instance in enumerate(instances):
            if node == self._main_of[job_class]:
                continue
            starting = now + world.dispatch_us
            images = world.node_images[job_class][node] if world.node_images else ()
            row = recorder.add_node(job, attempt, node, instance, now)
            recorder.n_starting_us[row] = starting
            after = world.container_start(job, attempt, node)
            lasts_us = world.lasts_us(world.time_of_node(job, node), recorder.i_type[instance])
            waiter = Waiter(job, instance, starting, after, row=row, lasts_us=lasts_us)
            there = self._waiting.images_there(waiter, job_class, images)
            if images:
                recorder.n_pulled_us[row] = there
            recorder.n_started_us[row] = started = _later(there, after)
            recorder.n_ended_us[row] = _later(started, lasts_us)
            recorder.n_exit_code[row] = 0
        self._children[job] = range(first, len(recorder.n_job))

    def stop(self, now: int, job: int, state: int, exit_us: int) -> int:
        """SIGTERM [spec 1.7]. Gives the instant at which the attempt ends, `exit_us` where it would anyway.

        One that is STARTING has no container yet and ends at once; a task, once it is provisioned.
        """
        if state == STARTING:
            self._endings[job] = Ending(None)
            self._recorder.started_us[job] = -1
            self._waiting.forget(self._recorder.instance[job], job)
            return max(now, self._recorder.placed_us[job])
        after_us, exit_code = self._world.reaction(job)
        if now + after_us >= exit_us or job in self._endings:
            return exit_us
        self._endings[job] = Ending(exit_code)
        return now + after_us

    def end(self, now: int, job: int, attempt: int) -> Ending:
        """The attempt ends now; what its child nodes have left to do is cut off."""
        if self._instances and self._instances.pop(job, None) is not None:
            self._cut_off(now, job)
        if self._endings and job in self._endings:
            return self._endings.pop(job)
        exit_code, reason = self._world.exit_of(job, attempt)
        return Ending(exit_code, reason=reason)

    def forget(self, now: int, job: int) -> None:
        """The attempt ended with its instance, however it was going to end; so do its child nodes."""
        if self._instances.pop(job, None) is not None:
            self._cut_off(now, job)
        self._endings.pop(job, None)
        self._waiting.forget(self._recorder.instance[job], job)

    def close(self, ended_at_us: int) -> None:
        """The run is over: child nodes that would end then or later have not ended."""
        recorder = self._recorder
        for rows in self._children.values():
            for row in rows:
                if recorder.n_ended_us[row] >= ended_at_us:
                    recorder.n_ended_us[row] = recorder.n_exit_code[row] = -1

    # --- inside -------------------------------------------------------------------------------

    def _cut_off(self, now: int, job: int) -> None:
        recorder = self._recorder
        after_us, exit_code = self._world.reaction(job)
        for row in self._children.pop(job, ()):
            self._waiting.forget(recorder.n_instance[row], job, row)
            if recorder.n_ended_us[row] > now:
                recorder.n_ended_us[row] = now
                stopped = -1 if recorder.n_started_us[row] > now else SIGKILL_EXIT if after_us else exit_code
                recorder.n_exit_code[row] = stopped


def _later(instant: int, us: int) -> int:
    return instant if instant == NEVER else instant + us


def all_begin_at_once(plan: Plan, world: World) -> bool:
    """Whether every attempt is RUNNING as soon as it is placed, equally long anywhere, and holds no GPU."""
    return not (
        world.tasks
        or world.speeds
        or world.dispatch_us
        or world.container_start_us != 0
        or any(world.images)
        or any(world.startup_us)
        or any(outcome.start_failure_rate for outcome in world.outcomes)
        or world.measured
        or any(need.gpus for need in plan.needs)
    )


def all_end_well(plan: Plan, world: World) -> bool:
    """Whether every attempt ends by itself, with exit code 0, and on one instance."""
    return (
        all(outcome.always_succeeds for outcome in world.outcomes)
        and not any(each.timeout_us for each in plan.classes)
        and not any(plan.gangs)
        and not world.requests
        and not world.tasks
        and not world.measured
    )


def none_is_lost(plan: Plan, world: World) -> bool:
    """Whether an attempt stays on its instance for as long as it takes."""
    return not (
        world.interruptions is not None
        or world.capacity.prices
        or world.capacity.slots
        or world.drains_after_us
        or any(machines.leaves_us != NEVER for machines in world.machines)
        or plan.updates
    )


def _main_node(plan: Plan, need: int) -> int:
    gang = plan.gangs[need] if plan.gangs else None
    return gang.main if gang else -1
