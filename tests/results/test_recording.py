from __future__ import annotations

import pytest

from batchsim.errors import ContractError
from batchsim.results.recording import RUNNABLE, RUNNING, STARTING, STATE_NAMES, SUCCEEDED, Recorder
from tests.results.worlds import write_attempt


def test_a_new_record_knows_nothing():
    recorder = Recorder(3)
    for column in (
        recorder.runnable_us,
        recorder.placed_us,
        recorder.starting_us,
        recorder.started_us,
        recorder.ended_us,
        recorder.instance,
        recorder.exit_code,
    ):
        assert list(column) == [-1, -1, -1]
        assert column.typecode == "q"
    assert list(recorder.attempts) == [0, 0, 0]
    assert recorder.state == bytearray(3)
    assert recorder.outcome is None


def test_states_have_the_numbers_of_the_core():
    core = pytest.importorskip("batchsim.core.states")
    assert STATE_NAMES == core.STATE_NAMES


def test_a_kept_attempt_moves_to_the_earlier_ones_and_leaves_the_job_as_new():
    recorder = Recorder(2)
    recorder.runnable_us[1] = 3
    write_attempt(recorder, 1, 4, 10, 11, 15, 30, 2)
    recorder.status_reason[1], recorder.reason[1] = "why", "because"
    recorder.keep_attempt(1)
    assert (recorder.e_job[0], recorder.e_attempt[0], recorder.e_instance[0]) == (1, 1, 4)
    assert (recorder.e_placed_us[0], recorder.e_starting_us[0]) == (10, 11)
    assert (recorder.e_started_us[0], recorder.e_ended_us[0], recorder.e_exit_code[0]) == (15, 30, 2)
    assert (recorder.e_status_reason, recorder.e_reason) == ({0: "why"}, {0: "because"})
    assert (recorder.status_reason, recorder.reason) == ({}, {})
    job = [recorder.placed_us[1], recorder.starting_us[1], recorder.started_us[1], recorder.ended_us[1]]
    assert job == [-1] * 4
    assert (recorder.instance[1], recorder.exit_code[1]) == (-1, -1)
    assert (recorder.attempts[1], recorder.runnable_us[1]) == (1, 3)


def test_an_attempt_that_ended_before_its_container_ran_never_started():
    recorder = Recorder(1)
    write_attempt(recorder, 0, 0, 10, 20, 30, 15, -1)
    recorder.keep_attempt(0)
    assert (recorder.e_starting_us[0], recorder.e_started_us[0]) == (-1, -1)


@pytest.mark.parametrize("column", ["ended_us", "placed_us"])
def test_only_an_ended_attempt_can_be_kept(column):
    recorder = Recorder(1)
    write_attempt(recorder, 0, 0, 10, 11, 12, 13, 1)
    getattr(recorder, column)[0] = -1
    with pytest.raises(ContractError, match="job 0"):
        recorder.keep_attempt(0)


def test_what_was_written_ahead_of_the_end_has_not_happened():
    recorder = Recorder(5)
    write_attempt(recorder, 0, 0, 10, 100, 101, -1, -1)  # waits for STARTING
    write_attempt(recorder, 1, 0, 10, 99, 101, -1, -1)
    write_attempt(recorder, 2, 0, 10, 99, 100, -1, -1)
    write_attempt(recorder, 3, 0, 10, 20, 30, 100, 0)
    recorder.state[3] = SUCCEEDED
    for job in range(4):
        recorder.runnable_us[job] = 5
    recorder.runnable_us[4] = 101
    first, second, third = (recorder.add_instance(0, 0, 0) for _ in range(3))
    recorder.i_running_us[first], recorder.i_ready_us[first] = 50, 101
    recorder.i_running_us[second], recorder.i_ready_us[second] = 100, 100
    recorder.i_running_us[third], recorder.i_ready_us[third], recorder.i_ended_us[third] = 30, 50, 40
    recorder.finish(101, "horizon")
    assert list(recorder.starting_us) == [100, 99, 99, 20, -1]
    assert list(recorder.started_us) == [-1, -1, 100, 30, -1]
    assert list(recorder.runnable_us) == [5, 5, 5, 5, -1]
    assert list(recorder.i_running_us) == [50, 100, 30]
    assert list(recorder.i_ready_us) == [-1, 100, -1]
    assert list(recorder.state) == [STARTING, STARTING, RUNNING, SUCCEEDED, 0]


def test_a_job_between_placement_and_starting_is_runnable_and_pending_is_kept():
    recorder = Recorder(2)
    recorder.runnable_us[0] = 1
    write_attempt(recorder, 0, 0, 10, 12, 13, -1, -1)
    recorder.state[0], recorder.state[1] = RUNNING, 1
    recorder.finish(11, "horizon")
    assert list(recorder.state) == [RUNNABLE, 1]


def test_a_run_ends_in_one_of_three_ways_and_after_its_jobs():
    with pytest.raises(ContractError, match="finished, horizon, stalled"):
        Recorder(0).finish(0, "lost")  # type: ignore[arg-type]
    recorder = Recorder(2)
    recorder.ended_us[1] = 6
    with pytest.raises(ContractError, match="job 1"):
        recorder.finish(5, "finished")


def test_an_empty_record_can_be_finished():
    recorder = Recorder(0)
    recorder.finish(0, "finished")
    assert (recorder.ended_at_us, recorder.outcome) == (0, "finished")
