"""Jobs that wait for more jobs than AWS Batch allows.

A trace's own dependencies, and those of a workload entry on another of many jobs, are simulated whatever
their number. Who wants to submit the same to AWS must know which of them it would refuse [spec 1.9].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from batchsim.scenario import MOST_DEPENDENCIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsim.workload import Workload

_MOST_NAMED = 5


class ManyDependencies(NamedTuple):
    """One task of a trace, or with `task` None each job of a workload entry, and how many jobs it waits for.

    The children of an array count as one job, as in a `dependsOn` of AWS's.
    """

    group: str
    task: str | None
    dependencies: int


def many_dependencies(workload: Workload) -> tuple[ManyDependencies, ...]:
    """Whoever waits for more than MOST_DEPENDENCIES jobs, in the order of the file and of the trace."""
    return tuple(_many(workload))


def _many(workload: Workload) -> Iterator[ManyDependencies]:
    for group, notes in workload.notes.items():
        of_each = notes.get("dependencies_of_each_job", 0)
        if of_each > MOST_DEPENDENCIES:
            yield ManyDependencies(group, None, of_each)
        for task, number in notes.get("tasks_beyond_aws_dependencies", {}).items():
            yield ManyDependencies(group, task, number)


def in_words(found: tuple[ManyDependencies, ...]) -> Iterator[str]:
    """One sentence for each workload entry, and one for the tasks of each trace."""
    for group in dict.fromkeys(each.group for each in found):
        mine = [each for each in found if each.group == group]
        for each in mine:
            if each.task is None:
                yield (
                    f"each job of {group} waits for {each.dependencies:,} jobs (dependsOn), and one of AWS"
                    f" Batch for at most {MOST_DEPENDENCIES}: an array counts as one."
                )
        tasks = [each for each in mine if each.task is not None]
        if tasks:
            named = ", ".join(f"{each.task} ({each.dependencies:,})" for each in tasks[:_MOST_NAMED])
            more = f" and {len(tasks) - _MOST_NAMED:,} more" if len(tasks) > _MOST_NAMED else ""
            who, wait = ("task", "waits") if len(tasks) == 1 else ("tasks", "wait")
            yield (
                f"{len(tasks):,} {who} of {group} {wait} for more than"
                f" {MOST_DEPENDENCIES} others, the most that AWS Batch allows: {named}{more}."
            )
