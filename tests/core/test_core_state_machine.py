"""A driver that says whatever can happen, in any order: every law holds after every call.

And what cannot happen is refused, and changes nothing.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from batchsim.core.commands import EVICT, FAIL, LAUNCH, START, START_NODES, STOP, TERMINATE, describe
from batchsim.core.fleet import BOOTING, GONE, READY, RETIRING
from batchsim.core.grid import NEVER
from batchsim.core.scheduler import UNBORN
from batchsim.core.states import FAILED, LEGAL, PENDING, RUNNABLE, RUNNING, STARTING, SUBMITTED, SUCCEEDED
from batchsim.errors import ContractError
from tests.harness import Checked
from tests.random_plans import FEATURES, plans

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.core.plan import Plan

BUILT: Final = FEATURES
"""The features of the scheduler that the machine uses; the others are in `random_plans.FEATURES`."""

# The order in which a driver tells what happened at one instant.
EXITED, LOST, CAME, STARTED, SENT, ASKED = range(6)

MOVES_OF_AN_EVENT: Final = {
    UNBORN: {SUBMITTED, PENDING, RUNNABLE, FAILED},
    **{state: set(after) for state, after in LEGAL.items()},
}
MOVES_OF_A_DECISION: Final = {
    SUBMITTED: {PENDING, RUNNABLE, STARTING, FAILED},
    PENDING: {RUNNABLE, STARTING, FAILED},
    RUNNABLE: {STARTING, FAILED},
}
FAILURES: Final = (
    (1, "Essential container in task exited", ""),
    (137, "Essential container in task exited", "OutOfMemoryError: Container killed due to memory usage"),
)
START_FAILURE: Final = (None, "Task failed to start", "CannotPullContainerError: not found")
PICK: Final = st.integers(0, 15)


class Driver(RuleBasedStateMachine):
    """Knows what it was told to do, and what it has said; checks the scheduler's columns against that.

    phase     of the present round: what comes earlier in the order needs another round
    asked     whether everything that was said has been decided on
    stopping  jobs whose attempts were told to stop
    places    instances that each job's attempt holds, in node order
    made      states of instances, by index; those of an environment without instances end with their job;
              those that an update replaces count as READY
    evicted   instances that are to be taken from their jobs
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.phase = EXITED
        self.asked = False
        self.submitted = 0
        self.stopping: set[int] = set()
        self.places: dict[int, list[int]] = {}
        self.made: list[int] = []
        self.made_for_one_job: set[int] = set()
        self.wanted_ends: set[int] = set()
        self.evicted: list[int] = []

    @initialize(plan=plans(BUILT))
    def begin(self, plan: Plan) -> None:
        self.plan = plan
        self.core = Checked(plan)
        for environment, type_index in self.own_types():
            self.join(environment, type_index)

    # --- what a driver can say ----------------------------------------------------------------

    @rule(pick=PICK, failure=st.sampled_from([None, None, *FAILURES]))
    @precondition(lambda self: self.jobs_in(RUNNING))
    def an_attempt_exits(self, pick: int, failure: tuple[Any, ...] | None) -> None:
        self.begin_round(EXITED)
        self.exit(self.one_of(self.jobs_in(RUNNING), pick), *(failure or (0,)))

    @rule(pick=PICK)
    @precondition(lambda self: self.jobs_in(STARTING))
    def an_attempt_fails_to_start(self, pick: int) -> None:
        self.begin_round(EXITED)
        if starting := self.jobs_in(STARTING):
            self.exit(self.one_of(starting, pick), *START_FAILURE)

    @rule(pick=PICK)
    @precondition(lambda self: self.instances_in(BOOTING, READY))
    def an_instance_is_lost(self, pick: int) -> None:
        self.begin_round(LOST)
        if there := self.instances_in(BOOTING, READY):
            self.lose(self.one_of(there, pick))

    def lose(self, index: int) -> None:
        ended = sorted(job for job, held in self.places.items() if held[self.main_of(job)] == index)
        said = self.tell(LOST, "instance_lost", index, f"Host EC2 (instance i-{index}) terminated.")
        assert said == ended
        self.made[index] = GONE
        for job in ended:
            self.attempt_is_over(job)

    @rule(pick=PICK)
    @precondition(lambda self: self.instances_in(BOOTING))
    def an_instance_becomes_ready(self, pick: int) -> None:
        self.begin_round(CAME)
        self.ready(self.one_of(self.instances_in(BOOTING), pick))

    @rule(pick=PICK, closed=st.sets(st.integers(0, 3)))
    @precondition(lambda self: self.instances_in(BOOTING))
    def a_launch_fails(self, pick: int, closed: set[int]) -> None:
        self.begin_round(CAME)
        index = self.one_of(self.instances_in(BOOTING), pick)
        self.tell(CAME, "launch_failed", index, tuple(sorted(closed)))
        self.made[index] = GONE

    @rule(pick=PICK)
    @precondition(lambda self: self.own_types() and len(self.made) < 8)
    def a_machine_joins(self, pick: int) -> None:
        self.begin_round(CAME)
        self.join(*self.one_of(self.own_types(), pick))

    @rule(pick=PICK)
    @precondition(lambda self: self.jobs_in(STARTING))
    def a_container_is_up(self, pick: int) -> None:
        self.begin_round(STARTED)
        if starting := self.jobs_in(STARTING):
            self.tell(STARTED, "attempt_started", self.one_of(starting, pick))

    @rule()
    @precondition(lambda self: self.submitted < len(self.plan.class_of))
    def a_job_is_submitted(self) -> None:
        self.tell(SENT, "job_submitted", self.submitted)
        self.submitted += 1

    @rule(pick=PICK, event=st.sampled_from(["job_cancelled", "job_terminated"]))
    @precondition(lambda self: "requests" in BUILT and self.submitted)
    def a_request_comes(self, pick: int, event: str) -> None:
        job = pick % self.submitted
        before = self.core.state[job]
        self.tell(ASKED, event, job, "the caller's text")
        if before in {STARTING, RUNNING, SUCCEEDED, FAILED} and event == "job_cancelled":
            assert self.core.state[job] == before
        if before in {SUBMITTED, RUNNABLE} or (event == "job_terminated" and before in {STARTING, RUNNING}):
            self.wanted_ends.add(job)

    @rule(pick=PICK, operation=st.sampled_from(["SET", "ADD", "REMOVE"]), quantity=st.integers(0, 5))
    @precondition(lambda self: self.plan.consumables)
    def a_resource_is_updated(self, pick: int, operation: str, quantity: int) -> None:
        resource = pick % len(self.plan.consumables)
        self.tell(ASKED, "consumable_updated", resource, operation, quantity)

    @rule(pick=PICK)
    @precondition(lambda self: self.plan.updates)
    def the_plan_is_updated(self, pick: int) -> None:
        self.tell(ASKED, "plan_updated", pick % len(self.plan.updates))
        for index in self.instances_in(BOOTING):
            if self.core.instances[index].state == RETIRING:
                self.made[index] = READY

    @rule()
    def a_decision_is_asked_for(self) -> None:
        self.ask()

    @rule(later=st.integers(1, 8))
    def time_passes(self, later: int) -> None:
        """Not beyond the instant at which the scheduler wants to be asked."""
        self.ask()
        wakeup = self.core.next_wakeup()
        assert wakeup is None or wakeup > self.now, "it asks for what has just been decided"
        self.now = self.now + later if wakeup is None else min(self.now + later, wakeup)
        self.phase = EXITED
        self.asked = False

    # --- what no driver can say ---------------------------------------------------------------

    @rule(kind=PICK, pick=PICK)
    def what_cannot_happen_is_refused(self, kind: int, pick: int) -> None:
        kinds = [kind for kind in self.impossible() if kind]
        if kinds:
            self.refused(self.now, *self.one_of(self.one_of(kinds, kind), pick))

    @rule(pick=PICK)
    @precondition(lambda self: self.jobs_in(STARTING))
    def an_attempt_cannot_succeed_before_it_started(self, pick: int) -> None:
        self.refused(self.now, "attempt_exited", self.one_of(self.jobs_in(STARTING), pick), 0)

    @rule(pick=PICK)
    @precondition(lambda self: self.core.now > 0)
    def what_happened_in_the_past_is_refused(self, pick: int) -> None:
        self.refused(self.core.now - 1, *self.one_of(self.possible(), pick))

    def impossible(self) -> list[list[tuple[Any, ...]]]:
        """Calls by kind that make no sense now."""
        states = list(enumerate(self.core.state))
        ended, places = self.instances_in(READY, GONE), enumerate(self.plan.environments)
        unborn, text = range(self.submitted, len(self.plan.class_of)), "the caller's text"
        return [
            [("attempt_exited", job, 1) for job, state in states if state not in {STARTING, RUNNING}],
            [("attempt_exited", job, None) for job, state in states if state not in {STARTING, RUNNING}],
            [("attempt_started", job) for job, state in states if state != STARTING],
            [("job_submitted", job) for job in range(self.submitted)],
            [(event, index) for index in ended for event in ("instance_ready", "launch_failed")],
            [("instance_lost", index, "Host EC2 terminated.") for index in self.instances_in(GONE)],
            [("instance_joined", index, place.types[0]) for index, place in places if place.managed],
            [("job_cancelled", job, text) for job in unborn if "requests" in BUILT],
            [("job_terminated", job, text) for job in unborn if "requests" in BUILT],
            [("consumable_updated", 0, "DOUBLE", 1)] * bool(self.plan.consumables),
            [("plan_updated", len(self.plan.updates))],
        ]

    def possible(self) -> list[tuple[Any, ...]]:
        """Calls that would make sense now."""
        return [
            ("decide",),
            *[("job_submitted", self.submitted)] * (self.submitted < len(self.plan.class_of)),
            *[("attempt_exited", job, 1) for job in self.jobs_in(STARTING, RUNNING)],
            *[("attempt_started", job) for job in self.jobs_in(STARTING)],
            *[("instance_ready", index) for index in self.instances_in(BOOTING)],
            *[("launch_failed", index) for index in self.instances_in(BOOTING)],
            *[("instance_lost", index, "") for index in self.instances_in(BOOTING, READY)],
            *[("instance_joined", *place) for place in self.own_types()],
            *[("job_cancelled", job, "") for job in range(self.submitted) if "requests" in BUILT],
            *[("consumable_updated", 0, "ADD", 1)] * bool(self.plan.consumables),
            *[("plan_updated", row) for row in range(len(self.plan.updates))],
        ]

    # --- in the end ---------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everything goes well from now on: all jobs end, but for those that say why they wait."""
        if not hasattr(self, "core"):
            return
        for _ in range(300):
            if not self._goes_on():
                break
        else:
            pytest.fail("the scheduler does not come to rest")
        state = self.core.state
        assert set(state) <= {SUCCEEDED, FAILED, RUNNABLE, PENDING}
        reasons = self.core.waiting_reasons()
        assert all(reasons.get(job) for job in self.jobs_in(RUNNABLE))
        assert not self.jobs_in(PENDING) or self.jobs_in(RUNNABLE)
        assert not self.places

    def _goes_on(self) -> bool:
        """Says one thing that can happen; False if nothing can."""
        ends = sorted(self.places)
        if self.submitted < len(self.plan.class_of):
            self.a_job_is_submitted()
        elif self.instances_in(BOOTING):
            self.an_instance_becomes_ready(0)
        elif self.jobs_in(STARTING):
            self.a_container_is_up(0)
        elif not self.asked:
            self.ask()
        elif self.stopping:
            self.exit(min(self.stopping), 143)
        elif self.core.next_wakeup() is not None:
            self.time_passes(NEVER)  # to the next wake-up, which may be centuries away
        elif ends:
            self.exit(ends[0], 0)
        else:
            return False
        return True

    # --- saying, asking, obeying --------------------------------------------------------------

    def tell(self, phase: int, event: str, *arguments: Any) -> Any:
        """Say it at this instant."""
        self.begin_round(phase)
        self.asked = False
        note(f"{self.now}: {event}{arguments}")
        return self._watched(MOVES_OF_AN_EVENT, lambda: self.core.tell(event, self.now, *arguments))

    def begin_round(self, phase: int) -> None:
        """In another round, after decisions, if it comes too late for this one."""
        if phase < self.phase:
            self.ask()
        self.phase = phase

    def ask(self) -> None:
        """Have decisions made until all is decided: what is stopped while STARTING ends at once."""
        while not self.asked:
            self.asked = True
            self.phase = EXITED
            commands = self._watched(MOVES_OF_A_DECISION, lambda: self.core.commands(self.now))
            for command in commands:
                note(f"{self.now}: -> {describe(command)}")
                self._obey(*command)
            while self.evicted:
                self.lose(self.evicted.pop())
            for job in self.wanted_ends:
                assert job in self.stopping or self.core.state[job] in {SUCCEEDED, FAILED}
            self.wanted_ends.clear()
            for job in [job for job in sorted(self.stopping) if self.core.state[job] == STARTING]:
                self.exit(job, None, "stopped")
            self._check_gpus()

    def exit(self, job: int, code: int | None, *reasons: str) -> None:
        before = self.core.state[job]
        state = self.tell(EXITED, "attempt_exited", job, code, *reasons)
        assert state == self.core.state[job]
        if job in self.stopping:
            assert state == FAILED
        elif code == 0:
            assert (before, state) == (RUNNING, SUCCEEDED)
        else:
            assert state in {RUNNABLE, FAILED}
        self.attempt_is_over(job)

    def attempt_is_over(self, job: int) -> None:
        held = self.places.pop(job)
        self.stopping.discard(job)
        if held[0] in self.made_for_one_job:
            self.made[held[0]] = GONE

    def join(self, environment: int, type_index: int) -> None:
        assert self.tell(CAME, "instance_joined", environment, type_index) == len(self.made)
        self.made.append(READY)

    def ready(self, index: int) -> None:
        self.tell(CAME, "instance_ready", index)
        self.made[index] = READY

    def refused(self, now: int, event: str, *arguments: Any) -> None:
        """The scheduler says that this cannot be, and is as it was."""
        core = self.core.core
        before = pickle.dumps(core)
        with pytest.raises(ContractError):
            getattr(core, event)(now, *arguments)
        assert pickle.dumps(core) == before, f"{event}{arguments} was refused and changed something"

    def _watched(self, moves: dict[int, set[int]], call: Callable[[], Any]) -> Any:
        """What a call answers; it has moved jobs only as it may."""
        before = bytes(self.core.state)
        answer = call()
        for job, (old, new) in enumerate(zip(before, self.core.state, strict=True)):
            assert new == old or new in moves.get(old, ()), f"job {job} went from {old} to {new}"
        return answer

    def _obey(self, kind: int, *arguments: Any) -> None:
        if kind in {START, START_NODES}:
            job, where = arguments
            held = [where] if kind == START else list(where)
            assert self.core.state[job] == STARTING
            assert all(self.made[index] == READY for index in held)
            assert job not in self.places
            self.places[job] = held
        elif kind == STOP:
            assert self.core.state[arguments[0]] in {STARTING, RUNNING}
            assert arguments[0] not in self.stopping
            self.stopping.add(arguments[0])
        elif kind == FAIL:
            job, reason = arguments
            assert (self.core.state[job], self.core.status_reason[job]) == (FAILED, reason)
            assert job not in self.places
        elif kind == LAUNCH:
            index, environment, type_index = arguments
            assert index == len(self.made)
            assert type_index in self.core.plan.environments[environment].types
            if self.plan.environments[environment].per_job:
                self.made_for_one_job.add(index)
                self.made.append(READY)
            else:
                self.made.append(BOOTING)
        elif kind == EVICT:
            assert self.core.instances[arguments[0]].state == RETIRING
            assert any(arguments[0] in held for held in self.places.values())
            self.evicted.append(arguments[0])
        else:
            assert kind == TERMINATE
            assert self.made[arguments[0]] == READY
            assert all(arguments[0] not in held for held in self.places.values())
            self.made[arguments[0]] = GONE

    def _check_gpus(self) -> None:
        """Each attempt holds GPUs of its own."""
        if "gpus" not in BUILT:
            return
        taken: dict[int, int] = defaultdict(int)
        for job, held in self.places.items():
            gpus = self.plan.needs[self.plan.classes[self.plan.class_of[job]].need].gpus
            mask = self.core.gpus_of.get(job, 0)
            assert mask.bit_count() == gpus
            for index in held:
                assert not taken[index] & mask
                taken[index] |= mask

    # --- looking ------------------------------------------------------------------------------

    def jobs_in(self, *states: int) -> list[int]:
        return [job for job, state in enumerate(self.core.state) if state in states]

    def instances_in(self, *states: int) -> list[int]:
        return [index for index, state in enumerate(self.made) if state in states]

    def own_types(self) -> list[tuple[int, int]]:
        """The user's kinds of machines: environment, type."""
        places = enumerate(self.plan.environments)
        return [(index, each) for index, place in places if not place.managed for each in place.types]

    def main_of(self, job: int) -> int:
        """The node whose instance decides."""
        need = self.plan.classes[self.plan.class_of[job]].need
        gang = self.plan.gangs[need] if self.plan.gangs else None
        return 0 if gang is None else gang.main

    @staticmethod
    def one_of(choices: list[Any], pick: int) -> Any:
        return choices[pick % len(choices)]


def test_whatever_a_driver_says_the_laws_hold():
    run_state_machine_as_test(Driver, settings=settings())
