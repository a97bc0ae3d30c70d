"""The catalogue of one region: what can be launched there, what it costs and what jobs can use of it."""

from __future__ import annotations

import difflib
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Self

from batchsim.catalog.families import BUNDLES
from batchsim.catalog.instance_types import InstanceType, builtin_types
from batchsim.catalog.memory import MemoryModel, model_memory_mib
from batchsim.catalog.prices import Price, builtin_prices, date_span, regions, regions_selling
from batchsim.catalog.spot import SpotPool, builtin_spot
from batchsim.catalog.user_csv import UserCatalog, read_user_catalog
from batchsim.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FARGATE: Final = {"fargate", "fargate_spot", "fargate-spot", "fargate-arm"}
_OF_TASKS: Final = (
    "environments of type FARGATE or FARGATE_SPOT list no types: each job gets a task of its size"
)
_REGION_NAME: Final = re.compile(r"[a-z]{2}(-[a-z]{1,16}){1,3}-\d", re.ASCII)


class Catalog:
    """Instance types with the prices of one region; the user's rows win over the shipped ones.

    Immutable after `load`. All orders are total and do not depend on hashing: by family, then vCPUs,
    memory and name.
    """

    def __init__(
        self,
        region: str,
        types: Mapping[str, InstanceType],
        prices: Mapping[str, Price],
        user: UserCatalog | None = None,
    ) -> None:
        given = user or UserCatalog()
        self.region = region
        self._types = {**types, **given.types}
        self._prices = {**prices, **given.prices}
        self._usable_memory_mib = given.usable_memory_mib
        self._families: dict[str, list[InstanceType]] = {}
        for instance_type in sorted(self._types.values(), key=_order):
            self._families.setdefault(instance_type.family, []).append(instance_type)

    @classmethod
    def load(cls, region: str, user_csv: Path | None = None) -> Self:
        """The shipped catalogue of a region, under the rows of `user_csv` (columns: `data/README.md`).

        A region without a shipped price list is accepted with a user's catalogue only; then just the
        types that the file prices can be launched. Raises CatalogError.
        """
        user = None if user_csv is None else read_user_catalog(user_csv, builtin_types())
        if region in regions():
            return cls(region, builtin_types(), builtin_prices(region), user)
        if user is not None and _REGION_NAME.fullmatch(region):
            return cls(region, builtin_types(), {}, user)
        close = difflib.get_close_matches(region[:64], regions(), n=1)
        raise CatalogError(
            "no price list for this region",
            path="region",
            expected=f"one of {', '.join(regions())}",
            found=repr(region),
            hint=f"did you mean {close[0]}?" if close else "price its types in a catalogue of your own",
        )

    @staticmethod
    def regions() -> tuple[str, ...]:
        """The regions with a shipped price list, in alphabetical order."""
        return regions()

    def get(self, name: str) -> InstanceType:
        """The type of that exact name, also one that Batch refuses or this region does not sell.

        Raises CatalogError with the likely spelling.
        """
        found = self._types.get(name)
        if found is None:
            raise CatalogError(self._unknown(name), hint=self._likely(name))
        return found

    def check_known(self, name: str) -> None:
        """Raise CatalogError, with the likely spelling, unless it is the name of a type or a family."""
        if name not in self._types and name not in self._families:
            raise CatalogError(self._unknown(name), hint=self._likely(name))

    def price_row(self, name: str) -> Price:
        """The On-Demand price with its origin. Raises CatalogError naming the regions that sell the type."""
        instance_type = self.get(name)
        price = self._prices.get(name)
        if price is None:
            raise CatalogError(
                f"no On-Demand price of {name} in {self.region} is known",
                hint=self._sold_in([instance_type]),
            )
        return price

    def price_uusd(self, name: str) -> int:
        """Micro-USD per instance-hour, On-Demand. Raises CatalogError as `price_row` does."""
        return self.price_row(name).uusd

    def spot(self, name: str) -> SpotPool | None:
        """What is known of the type on this region's Spot market; None where nothing is."""
        return builtin_spot(self.region).get(name)

    def price_date(self, region: str | None = None) -> str:
        """The date of a region's price lists, by default of this catalogue with the user's rows.

        As `date_span` of all its rows.
        """
        if region is not None and region != self.region:
            return type(self).load(region).price_date()
        return date_span(price.as_of for price in self._prices.values())

    def usable_memory_mib(self, name: str, model: MemoryModel) -> int:
        """MiB that jobs can use on one instance [spec 3.6], by a model of `batchsim.catalog.memory`.

        A user's `usable_memory_mib` replaces what "registered" and "fitted" would say; "nominal" is
        always the nominal memory.
        """
        instance_type = self.get(name)
        given = self._usable_memory_mib.get(name)
        if given is not None and model in {"registered", "fitted"}:
            return given
        return model_memory_mib(instance_type, model)

    def launchable_types(self) -> list[InstanceType]:
        """Every type that a managed compute environment could list here: accepted by Batch, and priced."""
        return [
            instance_type
            for family in sorted(self._families)
            for instance_type in self._families[family]
            if instance_type.launchable and instance_type.name in self._prices
        ]

    def resolve(self, entries: Sequence[str], path: str = "instanceTypes") -> list[InstanceType]:
        """The types of one managed compute environment: `expand`, and all of one architecture [spec 3.3]."""
        return [instance_type for _, instance_type in self.resolve_each(entries, path)]

    def resolve_each(
        self, entries: Sequence[str], path: str = "instanceTypes"
    ) -> list[tuple[int, InstanceType]]:
        """As `resolve`, each type with the position in `entries` that it stems from."""
        found = self._expand(entries, path)
        architecture = found[0][1].architecture
        for index, other in found:
            if other.architecture != architecture:
                raise CatalogError(
                    f"one architecture per compute environment: {found[0][1].name} is {architecture}, "
                    f"{other.name} is {other.architecture}",
                    path=f"{path}.{index}",
                    hint="split the list over two compute environments",
                )
        return found

    def expand(self, entries: Sequence[str], path: str = "instanceTypes") -> list[InstanceType]:
        """The types that a list of types, families and bundles stands for, each once, in list order.

        A family or bundle stands for its sizes that Batch accepts and this region sells, without bare
        metal, small sizes first; a type that the list also names keeps its own place [spec 3.3, 3.4].
        A bundle skips a family that the region does not sell. Raises CatalogError, with `path` and the
        entry's position, for an entry that is unknown, refused or not sold here.
        """
        return [instance_type for _, instance_type in self._expand(entries, path)]

    def matching(self, patterns: Sequence[str], path: str) -> list[InstanceType]:
        """The types that patterns such as `c6i.*` and `m6*.*` stand for, of any architecture, each once.

        In the order of the patterns, and for each in that of the catalogue; without bare metal, but for what
        is named in full. Raises CatalogError, with `path` and the pattern's position, where there is none.
        """
        found: dict[str, InstanceType] = {}
        for index, pattern in enumerate(patterns):
            if "*" not in pattern:
                found |= {one.name: one for _, one in self._expand([pattern], path)}
                continue
            members = [
                one
                for name, one in self._types.items()
                if fnmatchcase(name, pattern)
                and one.launchable
                and not one.bare_metal
                and name in self._prices
            ]
            if not members:
                raise CatalogError(f"no instance type is like {pattern}", path=f"{path}.{index}")
            found |= {one.name: one for one in members}
        return list(found.values())

    def default_patterns(self) -> tuple[str, ...]:
        """For `matching`: AWS Batch's default families of both architectures that this region sells."""
        types = self.expand(("default_x86_64", "default_arm64"))
        return tuple(dict.fromkeys(f"{one.family}.*" for one in types))

    def _expand(self, entries: Sequence[str], path: str) -> list[tuple[int, InstanceType]]:
        if not entries:
            raise CatalogError(path=path, expected="an instance type, a family or a bundle", found="none")
        named = frozenset(entries)
        chosen: dict[str, tuple[int, InstanceType]] = {}
        for index, entry in enumerate(entries):
            try:
                members = self._members(entry)
            except CatalogError as error:
                raise CatalogError(error.message, path=f"{path}.{index}", hint=error.hint) from None
            for instance_type in members:
                if entry == instance_type.name or instance_type.name not in named:
                    chosen.setdefault(instance_type.name, (index, instance_type))
        return list(chosen.values())

    def _members(self, entry: str) -> list[InstanceType]:
        if entry in self._types:
            self._check_launchable(entry, [self._types[entry]])
            self.price_row(entry)
            return [self._types[entry]]
        if entry not in BUNDLES and entry not in self._families:
            is_task = entry.partition(".")[0].lower() in _FARGATE
            raise CatalogError(self._unknown(entry), hint=_OF_TASKS if is_task else self._likely(entry))
        sizes = [one for family in BUNDLES.get(entry, (entry,)) for one in self._families.get(family, [])]
        self._check_launchable(entry, sizes)
        virtual = [one for one in sizes if one.launchable and not one.bare_metal]
        if not virtual:
            raise CatalogError(
                f"{entry} has bare-metal sizes only", hint="a bare-metal size must be listed by its full name"
            )
        members = [one for one in virtual if one.name in self._prices]
        if not members:
            raise CatalogError(
                f"no On-Demand price of any size of {entry} in {self.region} is known",
                hint=self._sold_in(virtual),
            )
        return members

    @staticmethod
    def _check_launchable(entry: str, members: Sequence[InstanceType]) -> None:
        if any(member.launchable for member in members):
            return
        first = members[0]
        raise CatalogError(
            f"{entry} is {first.batch_note}",
            hint="to model it all the same, set batch_allowed to yes in a catalogue of your own"
            if first.batch_allowed == "retired"
            else "only an unmanaged compute environment may use it",
        )

    def _unknown(self, name: str) -> str:
        return f"{_short(name)} is not an instance type that this catalogue knows"

    def _likely(self, name: str) -> str:
        family = name.partition(".")[0]
        if "." in name and family in self._families:
            return f"{family} has {', '.join(one.size for one in self._families[family])}"
        known = [*self._types, *self._families, *BUNDLES]
        close = difflib.get_close_matches(name[:64], known, n=3)
        if close:
            return f"did you mean {' or '.join(close)}?"
        return "describe the type in a catalogue of your own (CSV)"

    @staticmethod
    def _sold_in(types: Sequence[InstanceType]) -> str:
        sold = sorted({region for one in types for region in regions_selling(one.name)})
        where = f"its price is known in {', '.join(sold)}" if sold else "no shipped price list has it"
        return f"{where}; a catalogue of your own can give its usd_per_hour"


def _order(instance_type: InstanceType) -> tuple[int, int, str]:
    return (instance_type.vcpus, instance_type.memory_mib, instance_type.name)


def _short(name: str) -> str:
    return repr(name if len(name) <= 64 else name[:63] + "…")
