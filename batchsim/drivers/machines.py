"""The machine types of a scenario as rows of a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from batchsim.catalog import Catalog
from batchsim.catalog.eks import allocatable_mib, allocatable_milli, max_pods
from batchsim.catalog.fargate import FREE_STORAGE_GIB, MEMORY_MIB, TaskPrice, task_prices
from batchsim.catalog.memory import ECS_RESERVED_MIB
from batchsim.catalog.prices import date_span
from batchsim.catalog.spot import spot_price_uusd
from batchsim.core.plan import MachineType
from batchsim.drivers.spotrecords import recorded_prices
from batchsim.errors import CatalogError, at_path
from batchsim.units import format_size, usd_to_uusd
from batchsim.workload.table import QUARTERS, USUAL_TASK, TaskKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsim.results.context import Billing
    from batchsim.scenario import Machine, Scenario

_BYTES_PER_GBIT: Final = 125_000_000


class MachineTypes:
    """Machine types, interned: two environments that use the same type in the same way share a row.

    vCPUs are in units of 1 / `vcpu_parts`; `task_kinds` are the kinds of Fargate tasks that jobs ask for.
    """

    def __init__(
        self, scenario: Scenario, vcpu_parts: int, task_kinds: Sequence[TaskKind] = (USUAL_TASK,)
    ) -> None:
        csv = None if scenario.catalog is None else scenario.base_dir / scenario.catalog
        with at_path("catalog"):
            self.catalog = Catalog.load(scenario.region, csv)
        self.vcpu_parts = vcpu_parts
        self._task_kinds = task_kinds
        self._kinds = [*task_kinds]  # and those of Managed Instances that no job asks for
        self.spot_prices, self.price_notes = recorded_prices(scenario, self.catalog)
        self._rows: dict[tuple[MachineType, Billing], int] = {}
        self._of_catalog: dict[int, str] = {}  # by row the name of its type
        self._priced = False
        self._task_prices: set[TaskPrice] = set()
        self._memory_model = scenario.assumptions.memoryModel
        self.unknown_band = scenario.assumptions.spotInterruptionBand
        self.spot_tasks: list[int] = []
        self._fargate_spot_factor = scenario.assumptions.fargateSpotFactor
        self._spot_factor = scenario.assumptions.spotPriceFactor
        self._ecs_fee = scenario.assumptions.managedInstancesFee
        self._max_pods = scenario.assumptions.eksMaxPods

    @property
    def rows(self) -> list[MachineType]:
        return [machine for machine, _ in self._rows]

    @property
    def billings(self) -> list[Billing]:
        """For each of `rows` how it is billed."""
        return [billing for _, billing in self._rows]

    @property
    def architectures(self) -> list[str]:
        """For each kind of machine of `rows` its architecture."""
        return [kind.architecture for kind in self._kinds]

    def row_architectures(self) -> list[str]:
        """For each of `rows` its architecture; "" of machines that users describe."""
        return [
            self._kinds[each.kind].architecture
            if billing == "fargate"
            else self.catalog.get(each.name).architecture
            if row in self._of_catalog
            else ""
            for row, (each, billing) in enumerate(self._rows)
        ]

    def on_demand_uusd(self) -> list[int]:
        """For each of `rows` its price On-Demand; 0 of tasks and users' own machines."""
        return [
            self.catalog.price_uusd(row.name)
            if billing == "spot"
            else row.uusd_per_hour
            if billing == "ec2"
            else 0
            for row, billing in self._rows
        ]

    def launched(self, *billings: str) -> list[int]:
        """The rows that are billed in one of these ways."""
        return [row for row, billing in enumerate(self.billings) if billing in billings]

    def tasks(self, *, spot: bool) -> list[int]:
        """The rows of Fargate tasks, usual ones or of Fargate Spot."""
        return [row for row in self.launched("fargate") if (row in self.spot_tasks) == spot]

    def price_date(self) -> str:
        """Of the catalogue's price lists that prices came from, such as "2026-07-20, of Fargate 2026-03".

        That of instances first; "" when no price came from the catalogue.
        """
        instances = self.catalog.price_date() if self._priced else ""
        tasks = date_span(price.as_of for price in self._task_prices)
        if not self._task_prices:
            return instances
        return f"{instances}, of Fargate {tasks}" if instances else tasks

    def rows_of(self, name: str) -> tuple[int, ...]:
        """All rows of that name; a type that no environment has gets one of its own."""
        found = tuple(row for row, each in enumerate(self.rows) if each.name == name)
        return found or (self.from_catalog(name),)

    def from_catalog(self, name: str, usd_per_hour: float | None = None, platform: str = "ECS") -> int:
        return self._known(self._described(name, usd_per_hour, platform))

    def _described(self, name: str, usd_per_hour: float | None, platform: str) -> MachineType:
        found = self.catalog.get(name)
        if usd_per_hour is None:
            self._priced = True
            price = self.catalog.price_uusd(name)
        else:
            price = usd_to_uusd(usd_per_hour)
        memory = self.catalog.usable_memory_mib(name, self._memory_model)
        vcpus, reserved = found.vcpus * self.vcpu_parts, 0
        if platform == "EKS":
            reserved = vcpus - allocatable_milli(found.vcpus) * self.vcpu_parts // 1000
            memory = self._of_a_node(found.vcpus, memory)
        return MachineType(name, vcpus, memory, found.gpus, price, reserved)

    def of_spot(self, name: str, platform: str = "ECS") -> int:
        """The type at its Spot price."""
        return self._known(self._on_spot(name, platform), "spot")

    def _on_spot(self, name: str, platform: str) -> MachineType:
        on_demand = self._described(name, None, platform)
        price = spot_price_uusd(on_demand.uusd_per_hour, self.spot_factor(name))
        recorded = self._recorded_at_first(name)
        if recorded:
            price = round(sum(recorded) / len(recorded))
        return replace(on_demand, uusd_per_hour=price)

    def of_ecs(self, name: str, *, spot: bool) -> int:
        """The type as an ECS Managed Instance, which only jobs of its own architecture get."""
        machine = self._on_spot(name, "ECS") if spot else self._described(name, None, "ECS")
        kind = TaskKind(self.catalog.get(name).architecture)
        if kind not in self._kinds:
            self._kinds.append(kind)
        return self._known(replace(machine, kind=self._kinds.index(kind)), "spot" if spot else "ec2")

    def fee_of_ecs(self, name: str) -> int:
        """What an hour of it as an ECS Managed Instance costs beside its own price, in micro-USD."""
        return round(self.catalog.price_uusd(name) * self._ecs_fee)

    def of_fargate(self, *, spot: bool) -> list[int]:
        """All sizes of tasks, of each kind: those below a vCPU where vCPUs are in quarters.

        Fargate Spot has both architectures [API-2026: RuntimePlatform]. Raises CatalogError where the
        region's prices are not known.
        """
        factor = self._fargate_spot_factor if spot else 1.0
        rows = []
        for number, kind in enumerate(self._task_kinds):
            price = self.task_price(kind.architecture)
            self._task_prices.add(price)
            for quarters, memory_mib in _task_sizes(self.vcpu_parts):
                rate = price.uusd_per_hour(quarters, memory_mib, kind.storage_gib, factor)
                name = _task_name(kind, quarters, memory_mib, spot=spot)
                vcpus = quarters * self.vcpu_parts // QUARTERS
                size = MachineType(name, vcpus, memory_mib, 0, rate, kind=number)
                rows.append(self._intern(size, "fargate"))
        if spot:
            self.spot_tasks = rows
        return rows

    def task_price(self, architecture: str = "x86_64") -> TaskPrice:
        """Of Fargate in the region. Raises CatalogError where it is not known."""
        price = task_prices().get((self.catalog.region, architecture))
        if price is None:
            known = ", ".join(region for region, of in task_prices() if of == architecture)
            raise CatalogError(
                f"no Fargate price in {self.catalog.region} is known", hint=f"they are known in {known}"
            )
        return price

    def spot_factor(self, name: str) -> float:
        """The Spot price as a part of the On-Demand price."""
        pool = self.catalog.spot(name)
        return self._spot_factor if pool is None else pool.price_factor

    def of_machine(self, machine: Machine) -> int:
        """A user's machine; the memory of one that the scenario describes itself is taken as usable."""
        if machine.instanceType is not None:
            return self.from_catalog(machine.instanceType, machine.usdPerHour)
        assert machine.vcpus is not None
        assert machine.memory is not None
        name = machine.name or f"{machine.vcpus}vcpu-{format_size(machine.memory).replace(' ', '')}"
        price = usd_to_uusd(machine.usdPerHour or 0)
        vcpus = machine.vcpus * self.vcpu_parts
        return self._intern(MachineType(name, vcpus, machine.memory, machine.gpus, price))

    def _recorded_at_first(self, name: str) -> list[float]:
        """The recorded prices at the beginning, in all zones: strategies rank types by their mean."""
        return [steps.values[0] for (of, _), steps in self.spot_prices.items() if of == name]

    def _of_a_node(self, vcpus: int, memory_mib: int) -> int:
        """The memory of an EKS node, given that of an ECS instance [spec 1.12]."""
        if self._memory_model == "nominal":
            return memory_mib
        pods = max_pods(vcpus) if self._max_pods == "interfaces" else self._max_pods
        return allocatable_mib(memory_mib + ECS_RESERVED_MIB, pods)

    def networks(self, kind: Literal["burst", "baseline", "none"]) -> dict[int, int]:
        """By row the bandwidth of its network in bytes a second, where the catalogue tells it.

        kind   the one to which instances may burst, the one that they can keep up, or nothing
        """
        networks = {}
        for row, name in self._of_catalog.items():
            told = self.catalog.get(name)
            gbps = {"burst": told.network_gbps, "baseline": told.network_baseline_gbps, "none": None}[kind]
            if gbps:
                networks[row] = round(gbps * _BYTES_PER_GBIT)
        return networks

    def _known(self, row: MachineType, billing: Billing = "ec2") -> int:
        """A type of the catalogue."""
        index = self._intern(row, billing)
        self._of_catalog[index] = row.name
        return index

    def _intern(self, row: MachineType, billing: Billing = "ec2") -> int:
        return self._rows.setdefault((row, billing), len(self._rows))


def _task_sizes(vcpu_parts: int) -> list[tuple[int, int]]:
    """Quarter vCPUs and MiB of the tasks whose vCPUs are whole parts."""
    return [
        (quarters, memory_mib)
        for quarters, memories in MEMORY_MIB.items()
        if quarters * vcpu_parts % QUARTERS == 0
        for memory_mib in memories
    ]


def _task_name(kind: TaskKind, quarters: int, memory_mib: int, *, spot: bool) -> str:
    """Such as fargate.0.25x512, or fargate-arm.4x8192x100 with 100 GiB of storage."""
    family = f"fargate{'-spot' if spot else ''}{'-arm' if kind.architecture == 'arm64' else ''}"
    storage = "" if kind.storage_gib == FREE_STORAGE_GIB else f"x{kind.storage_gib}"
    return f"{family}.{quarters / QUARTERS:g}x{memory_mib}{storage}"
