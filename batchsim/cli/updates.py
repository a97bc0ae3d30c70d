"""What users updated during a run, in words: for summaries and for the story of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchsim.cli.figures import duration, vcpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsim.results import Result


def records(result: Result) -> list[dict[str, Any]]:
    """The updates frame as plain data, with None for what is missing."""
    frame = result.updates
    if frame is None:
        return []
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def facts(updates: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Each with its instant."""
    for each in updates:
        whose = each["environment"] or f"job queue {each['queue']}"
        told = [f"{whose}: {each['change']}", *_consequences(each)]
        yield duration(each["t_s"]), "; ".join(told)


def _consequences(update: dict[str, Any]) -> Iterator[str]:
    if update["not_made"] is not None:
        yield f"not made: {update['not_made']}"
    if update["above_max_vcpus"]:
        until = update["above_until_s"]
        above, there = vcpus(update["above_max_vcpus"]), vcpus(update["there_vcpus"])
        yield f"{above} of {there} vCPUs were above maxvCpus, " + (
            "up to the next update or the end" if until is None else f"until {duration(until)}"
        )
    if update["replaced"] is not None:
        until = update["updating_until_s"]
        count = update["replaced"]
        yield f"{count:,} instance{'' if count == 1 else 's'} replaced, UPDATING " + (
            "to the end" if until is None else f"until {duration(until)}"
        )


def of_job(result: Result, job: str) -> list[dict[str, Any]]:
    """Those of the queue of a job and of its environments, from its submission to its end."""
    mine = result.jobs[result.jobs["job"] == job]
    updates = records(result)
    if not updates or not len(mine):
        return []
    row = mine.iloc[0]
    queue, submitted, ended = str(row["queue"]), row["submit_s"], row["end_s"]
    orders = [each["computeEnvironmentOrder"] for each in _queues(result) if each["jobQueueName"] == queue]
    places = {each["computeEnvironment"].rpartition("/")[-1] for order in orders for each in order}
    return [
        each
        for each in updates
        if (each["queue"] == queue or each["environment"] in places)
        and each["t_s"] >= submitted
        and not each["t_s"] > ended
    ]


def _queues(result: Result) -> list[dict[str, Any]]:
    """As the scenario has them, and as users have updated them."""
    scenario = result.manifest["scenario"]
    queues: list[dict[str, Any]] = list(scenario.get("jobQueues", ()))
    said = [each["update"] for each in scenario.get("workload", ()) if "update" in each]
    queues += [
        {"jobQueueName": each["jobQueue"], "computeEnvironmentOrder": each["computeEnvironmentOrder"]}
        for each in said
        if each.get("computeEnvironmentOrder")
    ]
    return queues
