"""Facts with dates: EC2 instance types, their prices by region, and the memory that jobs can use.

    catalog = Catalog.load("eu-west-1")
    catalog.resolve(["c6i", "m6i.4xlarge"])      # the types of a compute environment
    catalog.price_uusd("m5.large")               # micro-USD per hour
    catalog.usable_memory_mib("m5.large", "registered")

The tables, where they come from and how to override them: `data/README.md`.
"""

from batchsim.catalog.catalog import Catalog
from batchsim.catalog.families import BUNDLES
from batchsim.catalog.instance_types import ARCHITECTURES, Architecture, BatchAllowed, InstanceType
from batchsim.catalog.memory import MEMORY_MODELS, MemoryModel
from batchsim.catalog.prices import Price, PriceMethod
from batchsim.catalog.query import SORT_KEYS, InstanceQuery, RankedInstance, rank_instances, why_none
from batchsim.catalog.spot import INTERRUPTION_BANDS, INTERRUPTION_WORDS, SpotPool

__all__ = [
    "ARCHITECTURES",
    "BUNDLES",
    "INTERRUPTION_BANDS",
    "INTERRUPTION_WORDS",
    "MEMORY_MODELS",
    "SORT_KEYS",
    "Architecture",
    "BatchAllowed",
    "Catalog",
    "InstanceQuery",
    "InstanceType",
    "MemoryModel",
    "Price",
    "PriceMethod",
    "RankedInstance",
    "SpotPool",
    "rank_instances",
    "why_none",
]
