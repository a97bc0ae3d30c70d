"""The bill by purchase option: how what ran was bought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batchsim.results.exact import exact_sum
from batchsim.units import S_PER_HOUR, UUSD_PER_USD

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from batchsim.results.exact import Ints

OPTIONS = (
    "On-Demand",
    "Spot",
    "Fargate",
    "Fargate Spot",
    "own machines",
    "commitments unused",
    "EKS clusters",
)
_SPOT_TASK = "fargate-spot"


class Purchase(NamedTuple):
    """What one of OPTIONS comes to: instances that ran, or none of those that no instance is of.

    vcpu_hours     paid
    discount_usd   what commitments have taken off from it already
    """

    option: str
    instances: int
    vcpu_hours: float
    discount_usd: float
    cost_usd: float


def purchases(frames: Mapping[str, pd.DataFrame], manifest: Mapping[str, Any]) -> list[Purchase]:
    """The options that occur, in the order of OPTIONS; their `cost_usd` add up to the bill.

    Reserved Instances and a Savings Plan are no rows of their own: they make On-Demand (and a plan Fargate)
    cheaper, by `discount_usd`; what nobody used of them is.
    """
    instances = frames["instances"]
    option = _options(instances, manifest)
    ran = instances["running_s"].notna().to_numpy()
    cost, discount = (_uusd(instances[name]) for name in ("cost_usd", "discount_usd"))
    billed = instances["billed_s"].to_numpy() * instances["vcpus"].to_numpy()
    found = [
        Purchase(
            name,
            int(mine.sum()),
            float(billed[mine].sum()) / S_PER_HOUR,
            exact_sum(discount[mine]) / UUSD_PER_USD,
            exact_sum(cost[mine]) / UUSD_PER_USD,
        )
        for row, name in enumerate(OPTIONS)
        if (mine := (option == row) & ran).any()
    ]
    of_nobody = zip(OPTIONS[-2:], ("commitment_usd", "cluster_usd"), strict=True)
    spent = [(name, exact_sum(_uusd(frames["costs"][column]))) for name, column in of_nobody]
    return found + [Purchase(name, 0, 0.0, 0.0, uusd / UUSD_PER_USD) for name, uusd in spent if uusd]


def _options(instances: pd.DataFrame, manifest: Mapping[str, Any]) -> Ints:
    """For each instance its row in OPTIONS."""
    own = [
        each["computeEnvironmentName"]
        for each in manifest["scenario"].get("computeEnvironments", ())
        if each.get("type") == "UNMANAGED"
    ]
    billing = instances["billing"].astype(object).to_numpy()
    tasks_on_spot = instances["instance_type"].astype(str).str.startswith(_SPOT_TASK).to_numpy()
    of_billing = [
        billing == "spot",
        (billing == "fargate") & ~tasks_on_spot,
        (billing == "fargate") & tasks_on_spot,
        instances["environment"].astype(object).isin(own).to_numpy(),
    ]
    found: Ints = np.select(of_billing, range(1, 5), 0)
    return found


def _uusd(column: pd.Series) -> Ints:
    return np.asarray(column.to_numpy(dtype=np.float64) * UUSD_PER_USD).round().astype(np.int64)
