"""States of service jobs: the table, and that nothing changes a state in any other way."""

from __future__ import annotations

import pytest

from batchsim.core.services import states
from batchsim.core.services.scheduler import UNBORN
from batchsim.core.services.states import LEGAL, STATE_NAMES
from batchsim.errors import ContractError
from tests.service_worlds import ServiceBuilder

WORDS = [
    ("SUBMITTED", "RUNNABLE FAILED"),
    ("RUNNABLE", "SCHEDULED FAILED"),
    ("SCHEDULED", "STARTING RUNNABLE FAILED"),
    ("STARTING", "RUNNING RUNNABLE FAILED"),
    ("RUNNING", "SUCCEEDED RUNNABLE FAILED"),
    ("SUCCEEDED", ""),
    ("FAILED", ""),
]
EVENTS = {
    "job_submitted": (),
    "training_starting": (),
    "training_started": (),
    "attempt_exited": ("failed",),
    "capacity_refused": (),
}
TAKEN_IN = {
    "job_submitted": {UNBORN},
    "training_starting": {states.SCHEDULED},
    "training_started": {states.STARTING},
    "attempt_exited": {states.SCHEDULED, states.STARTING, states.RUNNING},
    "capacity_refused": {states.SCHEDULED},
}


def in_state(state: int):
    """A scheduler whose job 0 is in that state."""
    builder = ServiceBuilder(submit_evaluation_us=10)
    builder.job()
    core = builder.checked()
    if state == UNBORN:
        return core
    core.submit(0)
    if state == states.SUBMITTED:
        return core
    if state == states.RUNNABLE:
        core.core._evaluate(10)
        return core
    core.decide(10)
    if state >= states.STARTING:
        core.tell("training_starting", 10, 0)
    if state >= states.RUNNING:
        core.tell("training_started", 10, 0)
    if state == states.SUCCEEDED:
        core.end(10, 0)
    if state == states.FAILED:
        core.exit(10, 0)
    return core


def everything(core):
    fields = {
        name: value for name, value in vars(core.core).items() if name not in {"plan", "_desks", "_desk_of"}
    }
    return repr(fields) + repr([desk.waiting_reasons() for desk in core.desks()])


def test_the_table_of_states():
    assert [
        (STATE_NAMES[state], " ".join(STATE_NAMES[after] for after in LEGAL[state])) for state in LEGAL
    ] == WORDS
    assert len(STATE_NAMES) == 7


@pytest.mark.parametrize("state", [UNBORN, *LEGAL])
def test_a_scheduler_can_be_in_each_state(state):
    assert in_state(state).state[0] == state


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", [UNBORN, *LEGAL])
def test_an_event_is_taken_where_it_can_happen_and_changes_nothing_elsewhere(event, state):
    core = in_state(state)
    before = everything(core)
    if state in TAKEN_IN[event]:
        core.tell(event, 20, 0, *EVENTS[event])
        after = core.state[0]
        assert after in (LEGAL[state] if state != UNBORN else (states.SUBMITTED,))
    else:
        with pytest.raises(ContractError, match="job 0 "):
            core.tell(event, 20, 0, *EVENTS[event])
        assert everything(core) == before


@pytest.mark.parametrize("state", [states.SCHEDULED, states.STARTING])
def test_only_what_runs_can_succeed(state):
    core = in_state(state)
    before = everything(core)
    with pytest.raises(ContractError, match="exited; it is S"):
        core.end(20, 0)
    assert everything(core) == before


@pytest.mark.parametrize("event", [*EVENTS, "job_cancelled", "job_terminated"])
def test_time_never_goes_back(event):
    core = in_state(states.SCHEDULED)
    before = everything(core)
    arguments = EVENTS.get(event, ("why",))
    with pytest.raises(ContractError, match="law L1"):
        core.tell(event, 9, 0, *arguments)
    with pytest.raises(ContractError, match="law L1"):
        core.core.decide(9)
    assert everything(core) == before


@pytest.mark.parametrize("event", ["job_cancelled", "job_terminated"])
def test_a_request_is_about_a_job_that_was_submitted(event):
    core = in_state(UNBORN)
    with pytest.raises(ContractError, match="job 0 was not submitted yet"):
        core.tell(event, 0, 0, "why")
    assert core.state[0] == UNBORN
