"""Named random streams: every random value belongs to an entity, never to a moment.

Columns (one value per job) come from numpy generators; rare values (attempt k of a job, the boot
delay of an instance) from a counter-based hash. Both depend only on the seed, the replication, the
stream's name and the entity, so two policies that run the same scenario see the same world, and
adding a stream or a workload entry leaves all others as they were.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Stream = Literal[
    "arrivals",
    "runtimes",
    "mix",
    "failures",
    "boot",
    "registration",
    "capacity",
    "shares",
    "containers",
    "nodes",
    "start_failures",
    "service_failures",
    "refusals",
    "training_pending",
    "training_download",
    "interruptions",
    "spot_pools",
    "launches",
    "provisioning",
    "shortages",
    "zones",
    "placement_groups",
    "pulls",
    "container_starts",
]

# The numbers are part of every published result: add at the end, never renumber.
STREAMS: Final[Mapping[Stream, int]] = {
    "arrivals": 1,
    "runtimes": 2,
    "mix": 3,
    "failures": 4,
    "boot": 5,
    "registration": 6,
    "capacity": 7,
    "shares": 8,
    "containers": 9,
    "nodes": 10,
    "start_failures": 11,
    "service_failures": 12,
    "refusals": 13,
    "training_pending": 14,
    "training_download": 15,
    "interruptions": 16,
    "spot_pools": 17,
    "launches": 18,
    "provisioning": 19,
    "shortages": 20,
    "zones": 21,
    "placement_groups": 22,
    "pulls": 23,
    "container_starts": 24,
}

_MASK: Final = 2**64 - 1
_STEP: Final = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: consecutive counters spread evenly
_STEP_OF_K: Final = 0xD1B54A32D192ED03  # odd, and no small multiple of _STEP: draws do not meet
_MIX_A: Final = 0xBF58476D1CE4E5B9
_MIX_B: Final = 0x94D049BB133111EB
_UNIT: Final = 2.0**-52


def generator(seed: int, replication: int, stream: Stream, group: str, part: int = 0) -> np.random.Generator:
    """A numpy generator for the columns of one workload entry, `part` telling apart what belongs to it.

    Streams of different arguments are independent; the tree is keyed by name (a CRC-32 of `group`),
    so the order in which streams are asked for does not matter.
    """
    key = (replication, STREAMS[stream], zlib.crc32(group.encode()), *((part,) if part else ()))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=key)))


@overload
def uniform(seed: int, replication: int, stream: Stream, entity: int, k: int = 0) -> float: ...
@overload
def uniform(
    seed: int, replication: int, stream: Stream, entity: NDArray[np.integer], k: int = 0
) -> NDArray[np.float64]: ...
def uniform(
    seed: int, replication: int, stream: Stream, entity: int | NDArray[np.integer], k: int = 0
) -> float | NDArray[np.float64]:
    """A uniform number strictly between 0 and 1 for draw `k` of an entity (0 <= entity, k < 2**63).

    Scalar in, float out; integer array in, float64 array of the same shape out, with the same values
    bit for bit. Stateless: the value depends on the arguments alone.
    """
    key = _stream_key(seed, replication, STREAMS[stream])
    if isinstance(entity, np.ndarray):
        return _uniform_array(key, entity, k)
    x = (key + entity * _STEP + k * _STEP_OF_K) & _MASK
    x = ((x ^ (x >> 30)) * _MIX_A) & _MASK
    x = ((x ^ (x >> 27)) * _MIX_B) & _MASK
    # 52 bits and a half: the largest value is 1 - 2**-53, which float64 can hold; 53 would round to 1.
    return (((x ^ (x >> 31)) >> 12) + 0.5) * _UNIT


def _uniform_array(key: int, entity: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    start = np.uint64((key + k * _STEP_OF_K) & _MASK)
    x = np.atleast_1d(entity).astype(np.uint64) * np.uint64(_STEP) + start
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MIX_A)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MIX_B)
    x = (x ^ (x >> np.uint64(31))) >> np.uint64(12)
    return (x.astype(np.float64).reshape(entity.shape) + 0.5) * _UNIT


@lru_cache(maxsize=1024)
def _stream_key(seed: int, replication: int, stream_id: int) -> int:
    """64 well-mixed bits, from the same tree as the generators but with a shorter key than any of them."""
    words = np.random.SeedSequence(entropy=seed, spawn_key=(replication, stream_id)).generate_state(
        1, np.uint64
    )
    return int(words[0])
