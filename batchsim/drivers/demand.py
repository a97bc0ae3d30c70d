"""From job classes to what the scheduler knows of them: needs, and whatever else jobs ask for.

Needs are interned: two classes share one if they ask for equal amounts, lock the same consumable resources,
have the same nodes and tasks of one kind. A multi-node job's need is the most that any of its nodes asks
for, because all its instances are of one type; each node has a need of its own beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsim.core.plan import ClassPlan, ExitRule, Gang, Need
from batchsim.errors import at_path
from batchsim.workload.table import QUARTERS, task_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchsim.core.consumables import Asks
    from batchsim.workload.table import JobClass, NodeGroup, Nodes


class Demand:
    """What the jobs of some classes ask for, as columns of a `Plan`: needs and what goes with them, classes.

    `vcpu_parts` is 4 or 1. `queues` and `resources` give names their indices; `rows_of_type` gives the rows
    of all machine types of a name, of which there must be one. The kinds of Fargate tasks are numbered as
    they first come.
    """

    def __init__(
        self,
        job_classes: Sequence[JobClass],
        vcpu_parts: int,
        queues: Mapping[str, int],
        resources: Mapping[str, int],
        rows_of_type: Callable[[str], tuple[int, ...]],
    ) -> None:
        self._parts = vcpu_parts
        self._resources = resources
        self._rows_of_type = rows_of_type
        self._kinds = {kind: number for number, kind in enumerate(task_kinds(job_classes))}
        self._rows: dict[tuple[Need, Asks, Gang | None, int], int] = {}
        shares: dict[str, int] = {}
        self.classes = [
            ClassPlan(
                queue=queues[each.queue],
                need=self._need(each),
                attempts=each.attempts,
                rules=tuple(ExitRule(*rule) for rule in each.rules),
                timeout_us=each.timeout_us or 0,
                share=-1 if each.share is None else shares.setdefault(each.share, len(shares)),
                priority=each.priority,
            )
            for each in job_classes
        ]
        self.shares = list(shares)

    @property
    def needs(self) -> list[Need]:
        return [need for need, *_ in self._rows]

    @property
    def asks(self) -> Sequence[Asks]:
        asks = [each for _, each, *_ in self._rows]
        return asks if any(asks) else ()

    @property
    def gangs(self) -> Sequence[Gang | None]:
        gangs = [gang for _, _, gang, _ in self._rows]
        return gangs if any(gangs) else ()

    @property
    def kinds(self) -> Sequence[int]:
        kinds = [kind for *_, kind in self._rows]
        return kinds if any(kinds) else ()

    def _need(self, job_class: JobClass) -> int:
        asks = tuple(sorted((self._resources[name], quantity) for name, quantity in job_class.consumables))
        if job_class.nodes is None:
            return self._row(self._amounts(job_class), asks, kind=self._kinds[job_class.task])
        with at_path(f"workload.{job_class.group}"):
            gang = self._gang(job_class.nodes)
        each = [self._amounts(group) for group in job_class.nodes.groups]
        return self._row(Need(*map(max, zip(*each, strict=True))), asks, gang)

    def _gang(self, nodes: Nodes) -> Gang:
        rows = [self._row(self._amounts(group)) for group in nodes.groups]
        return Gang(
            nodes=tuple(rows[index] for index in nodes.group_of),
            main=nodes.main,
            types=() if nodes.instance_type is None else self._rows_of_type(nodes.instance_type),
        )

    def _amounts(self, asked: JobClass | NodeGroup) -> Need:
        vcpus = asked.vcpu_quarters if self._parts == QUARTERS else asked.vcpus
        return Need(vcpus, asked.memory_mib, asked.gpus)

    def _row(self, need: Need, asks: Asks = (), gang: Gang | None = None, kind: int = 0) -> int:
        return self._rows.setdefault((need, asks, gang, kind), len(self._rows))
