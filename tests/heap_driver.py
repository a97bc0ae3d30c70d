"""A second simulated driver, on a bare heap instead of SimPy: slow, obvious, and written apart.

It shares the scheduler and the world with the real one, and nothing else; both must record the same bytes.
Every law of the scheduler is checked after every decision.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from batchsim.core import invariants
from batchsim.core.commands import LAUNCH, START, STOP, TERMINATE
from batchsim.core.scheduler import Scheduler
from batchsim.core.states import RUNNABLE, STARTING

if TYPE_CHECKING:
    from batchsim.core.plan import Plan
    from batchsim.drivers.world import World
    from batchsim.results.recording import Recorder

EXIT, READY, STARTED, SUBMIT, WAKE = range(5)


def heap_simulate(plan: Plan, world: World, recorder: Recorder, horizon_us: int | None = None) -> Scheduler:
    """As `batchsim.drivers.simulated.simulate`."""
    core = Scheduler(plan)
    heap: list[tuple[int, int, int]] = [(0, WAKE, 0)]
    exit_of: dict[int, int] = {}
    stopped: set[int] = set()
    image_at: dict[tuple[int, int], int] = {}
    for machines in world.machines:
        for _ in range(machines.count):
            index = core.instance_joined(0, machines.environment, machines.type)
            recorder.add_instance(machines.environment, machines.type, 0)
            recorder.i_running_us[index] = recorder.i_ready_us[index] = 0
    for job, submit in enumerate(world.submit_us):
        heapq.heappush(heap, (submit, SUBMIT, job))
    while heap and (horizon_us is None or heap[0][0] < horizon_us):
        now = heap[0][0]
        batch = []  # a consequence without delay belongs to the next round, so the batch comes first
        while heap and heap[0][0] == now:
            batch.append(heapq.heappop(heap)[1:])
        for kind, index in batch:
            if kind == SUBMIT:
                core.job_submitted(now, index)
            elif kind == READY:
                core.instance_ready(now, index)
            elif kind == STARTED and core.state[index] == STARTING:
                core.attempt_started(now, index)
                exit_of[index] = now + world.runtime_us[index]
                heapq.heappush(heap, (exit_of[index], EXIT, index))
            elif kind == EXIT and exit_of.get(index) == now:
                del exit_of[index]
                code = 143 if index in stopped else world.exit_code(index, core.attempt[index])
                stopped.discard(index)
                recorder.attempts[index] = core.attempt[index]
                state = core.attempt_exited(now, index, code)
                recorder.ended_us[index] = now
                recorder.exit_code[index] = code
                if state == RUNNABLE:
                    recorder.keep_attempt(index)
        commands = core.decide(now)
        invariants.check(core)
        for command in commands:
            if command[0] == START:
                _, job, instance = command
                job_class = world.class_of[job]
                starting = now + world.dispatch_us
                started = starting
                if world.image[job_class] >= 0:
                    key = (instance, world.image[job_class])
                    image_at.setdefault(key, starting + world.pull_us[job_class])
                    started = max(starting, image_at[key])
                started += world.container_start_us
                recorder.instance[job] = instance
                recorder.placed_us[job] = now
                recorder.starting_us[job] = starting
                recorder.started_us[job] = started
                if started == now:
                    core.attempt_started(now, job)
                    exit_of[job] = now + world.runtime_us[job]
                    heapq.heappush(heap, (exit_of[job], EXIT, job))
                else:
                    heapq.heappush(heap, (started, STARTED, job))
            elif command[0] == STOP:
                if exit_of[command[1]] > now:
                    stopped.add(command[1])
                    exit_of[command[1]] = now
                    heapq.heappush(heap, (now, EXIT, command[1]))
            elif command[0] == LAUNCH:
                _, index, environment, type_index = command
                assert recorder.add_instance(environment, type_index, now) == index
                running, ready = world.boot.draw(world.seed, world.replication, index)
                recorder.i_running_us[index] = now + running
                recorder.i_ready_us[index] = now + running + ready
                heapq.heappush(heap, (now + running + ready, READY, index))
            elif command[0] == TERMINATE:
                recorder.i_ended_us[command[1]] = now
                recorder.i_end_reason[command[1]] = "scaled in: idle"
        wakeup = core.next_wakeup()
        if wakeup is not None and all(at != wakeup for at, _, _ in heap):
            heapq.heappush(heap, (wakeup, WAKE, 0))
    recorder.runnable_us = core.runnable_us
    recorder.state = core.state
    recorder.attempts = type(recorder.attempts)("b", core.attempt)
    recorder.status_reason.update(core.status_reason)
    last = max(
        [
            0,
            *world.submit_us,
            *core.runnable_us,
            *recorder.ended_us,
            *recorder.i_ready_us,
            *recorder.i_ended_us,
        ]
    )
    if horizon_us is not None:
        last = min(last, horizon_us)
    if any(state < 5 for state in core.state):
        if heap:
            assert horizon_us is not None
            recorder.finish(horizon_us, "horizon")
        else:
            recorder.status_reason.update(core.waiting_reasons())
            recorder.finish(last, "stalled")
    else:
        recorder.finish(last, "finished")
    return core
