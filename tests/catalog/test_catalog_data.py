"""The shipped tables: sane in every row, right where the figures are well known, and quick to load."""

from __future__ import annotations

import csv
import datetime as dt
import re
import subprocess
import sys
import time
from collections import Counter

import pytest

from batchsim.catalog import ARCHITECTURES, BUNDLES, Catalog
from batchsim.catalog.instance_types import builtin_types
from batchsim.catalog.memory import observed_memory
from batchsim.catalog.prices import SHIPPED_METHODS, builtin_prices, regions
from batchsim.catalog.tables import DATA

EVERY_REGION = [
    "ap-northeast-1",
    "ap-southeast-1",
    "eu-central-1",
    "eu-west-1",
    "us-east-1",
    "us-east-2",
    "us-west-2",
]

# Known list prices, noted apart from the tables; most of them are those of spec 8.1.
KNOWN_PRICES = [
    ("us-east-1", "m5.xlarge", 192_000),
    ("us-east-1", "c5.large", 85_000),
    ("us-east-1", "p3.2xlarge", 3_060_000),
    ("us-east-1", "p3.8xlarge", 12_240_000),
    ("us-east-1", "p3.16xlarge", 24_480_000),
    ("us-east-1", "p4d.24xlarge", 21_957_642),
    ("us-east-1", "p5.48xlarge", 55_040_000),
    ("us-east-1", "t3.micro", 10_400),
    ("us-east-1", "r5.2xlarge", 504_000),
    ("us-east-1", "g5.xlarge", 1_006_000),
    ("us-east-1", "g5.48xlarge", 16_288_000),
    ("us-east-1", "i3.large", 156_000),
    ("us-east-1", "g4dn.xlarge", 526_000),
    ("us-east-1", "g4dn.2xlarge", 752_000),
    ("us-east-1", "g4dn.4xlarge", 1_204_000),
    ("us-east-1", "g4dn.12xlarge", 3_912_000),
    ("eu-west-1", "m5.xlarge", 214_000),
    ("eu-west-1", "c5.large", 96_000),
    ("eu-central-1", "m5.xlarge", 230_000),
    ("ap-southeast-1", "m5.xlarge", 240_000),
    ("us-east-1", "m6i.large", 96_000),
    ("us-east-1", "c6i.large", 85_000),
    ("us-east-1", "r6i.large", 126_000),
    ("us-east-1", "c7i.large", 89_250),
    ("us-east-1", "m6g.large", 77_000),
    ("us-east-1", "c6g.large", 68_000),
    ("us-east-1", "r6g.large", 100_800),
    ("us-east-1", "c7g.large", 72_500),
    ("us-east-1", "m5.large", 96_000),
    ("us-east-1", "r5.large", 126_000),
]

# Price per vCPU really differs inside these (data/README.md), and on machines with accelerators.
UNEVEN = {"m1", "c4", "d2", "hpc7a", "hpc7g", "u-6tb1", "x8i", "i3"}


def test_the_regions_are_the_documented_ones():
    assert list(regions()) == EVERY_REGION
    assert Catalog.load("us-east-1").regions() == regions()


@pytest.mark.parametrize(("region", "name", "uusd"), KNOWN_PRICES)
def test_known_list_prices(region, name, uusd):
    assert Catalog.load(region).price_uusd(name) == uusd


def test_every_type_is_sane():
    types = builtin_types()
    assert len(types) == 1395
    for name, one in types.items():
        assert one.name == name
        assert name == f"{one.family}.{one.size}"
        assert 1 <= one.vcpus <= 2_000, name
        assert 512 <= one.memory_mib <= 64 * 2**20, name
        assert one.architecture in ARCHITECTURES, name
        assert (one.gpus > 0) == bool(one.gpu_model) == (one.gpu_memory_mib > 0), name
        assert (one.accelerators > 0) == bool(one.accelerator_model), name
        assert one.network, name
        assert one.network_gbps > 0, name
        assert one.network_baseline_gbps is None or one.network_baseline_gbps <= one.network_gbps, name
        assert one.bare_metal == one.size.startswith("metal"), name
        assert one.launchable == (one.batch_allowed in {"yes", "unverified"}), name
        assert bool(one.batch_note) == (one.batch_allowed != "yes"), name


def test_the_table_names_each_type_once():
    with (DATA / "instance_types.csv").open(newline="") as file:
        names = [row[0] for row in csv.reader(file)][1:]
    assert len(names) == len(set(names)) == len(builtin_types())


def test_memory_grows_with_vcpus_inside_a_virtual_family():
    by_family = {}
    for one in builtin_types().values():
        if not one.bare_metal:
            by_family.setdefault(one.family, []).append((one.vcpus, one.memory_mib))
    for family, sizes in by_family.items():
        memories = [memory for _, memory in sorted(sizes)]
        assert memories == sorted(memories), family


@pytest.mark.parametrize("region", EVERY_REGION)
def test_every_price_is_sane(region):
    types, prices = builtin_types(), builtin_prices(region)
    with (DATA / "prices" / f"{region}.csv").open(newline="") as file:
        assert len(prices) == sum(1 for _ in file) - 1, "a type is priced twice"
    readme = (DATA / "README.md").read_text()
    for name, price in prices.items():
        assert name in types
        assert 0.004 <= price.usd <= 500, name
        assert price.uusd == round(price.usd * 1e6), name
        assert 2024 <= dt.date.fromisoformat(price.as_of).year <= 2026, name
        assert price.method in SHIPPED_METHODS, name
        assert f"| `{price.source}` |" in readme, "a source without its licence"


@pytest.mark.parametrize("region", EVERY_REGION)
def test_the_price_of_a_vcpu_is_the_same_for_all_sizes_of_a_family(region):
    rates = {}
    for name, price in builtin_prices(region).items():
        one = builtin_types()[name]
        if not (one.gpus or one.accelerators or one.burstable or one.family in UNEVEN):
            rates.setdefault(one.family, []).append(price.usd / one.vcpus)
    assert len(rates) > 50
    for family, values in rates.items():
        assert max(values) <= 1.02 * min(values), family


@pytest.mark.parametrize("region", [region for region in EVERY_REGION if region != "us-east-1"])
def test_no_region_is_far_from_us_east_1(region):
    reference = builtin_prices("us-east-1")
    for name, price in builtin_prices(region).items():
        if name in reference:
            assert 0.95 <= price.usd / reference[name].usd <= 2.0, name


def test_the_readme_counts_the_methods_right():
    counted = Counter(price.method for region in regions() for price in builtin_prices(region).values())
    said = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", (DATA / "README.md").read_text(), re.MULTILINE)
    assert {method: int(rows.replace(",", "")) for method, rows in said} == counted


@pytest.mark.parametrize(
    ("name", "gpus"),
    [(f"g4dn.{size}", 1) for size in ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")]
    + [("g4dn.12xlarge", 4)]
    + [(f"{family}.{size}", 1) for family in ("g5", "g6") for size in ("xlarge", "8xlarge", "16xlarge")]
    + [(f"{family}.{size}", 4) for family in ("g5", "g6") for size in ("12xlarge", "24xlarge")]
    + [("g5.48xlarge", 8), ("g6.48xlarge", 8), ("p3.2xlarge", 1), ("p3.8xlarge", 4), ("p3.16xlarge", 8)]
    + [("p4d.24xlarge", 8), ("p4de.24xlarge", 8), ("p5.48xlarge", 8), ("p6-b200.48xlarge", 8)],
)
def test_gpus_per_type(name, gpus):
    assert builtin_types()[name].gpus == gpus


@pytest.mark.parametrize(
    ("name", "devices"),
    [("trn1.32xlarge", 16), ("inf2.48xlarge", 12), ("g4ad.16xlarge", 4), ("dl1.24xlarge", 8)],
)
def test_devices_that_a_batch_gpu_requirement_cannot_reserve_are_not_gpus(name, devices):
    one = builtin_types()[name]
    assert (one.gpus, one.accelerators) == (0, devices)


@pytest.mark.parametrize("region", EVERY_REGION)
def test_the_bundles_have_every_size_of_their_families(region):
    for family in dict.fromkeys(BUNDLES["optimal"] + BUNDLES["default_arm64"]):
        sizes = [one.name for one in builtin_types().values() if one.family == family]
        assert len(sizes) >= 9
        assert [name for name in sizes if name not in builtin_prices(region)] == []


@pytest.mark.parametrize(
    ("name", "specification"),
    [
        ("m5.large", (2, 8, "x86_64", "Intel", 10, False, 0)),
        ("c5.9xlarge", (36, 72, "x86_64", "Intel", 12, False, 0)),
        ("r6i.32xlarge", (128, 1024, "x86_64", "Intel", 50, True, 0)),
        ("m6a.48xlarge", (192, 768, "x86_64", "AMD", 50, True, 0)),
        ("c7g.16xlarge", (64, 128, "arm64", "AWS", 30, True, 0)),
        ("x2gd.medium", (1, 16, "arm64", "AWS", 10, False, 59)),
        ("i3en.24xlarge", (96, 768, "x86_64", "Intel", 100, True, 60_000)),
        ("g5.48xlarge", (192, 768, "x86_64", "AMD", 100, True, 7600)),
        ("p4d.24xlarge", (96, 1152, "x86_64", "Intel", 400, True, 8000)),
        ("p5.48xlarge", (192, 2048, "x86_64", "AMD", 3200, True, 30_400)),
    ],
)
def test_known_specifications(name, specification):
    """vCPUs, GiB, architecture, processor, peak Gbit/s, EFA, local disk in GB."""
    one = builtin_types()[name]
    assert specification == (
        one.vcpus,
        one.memory_mib / 1024,
        one.architecture,
        one.processor,
        one.network_gbps,
        one.efa,
        one.local_disk_gb,
    )


def test_the_observed_memory_is_of_the_nominal_size_that_the_table_has():
    assert len(observed_memory()) == 22
    for name, seen in observed_memory().items():
        assert builtin_types()[name].memory_mib == seen.memory_mib
        assert 0.9 * seen.memory_mib < seen.registered_mib < seen.memory_mib


def test_files_are_small_and_hold_no_measured_memory():
    for path in DATA.rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 2**20, path.name
    assert {path.name for path in DATA.glob("*.csv")} == {"instance_types.csv", "registered_memory.csv"}
    with (DATA / "instance_types.csv").open() as file:
        assert "memtotal" not in file.readline()


def test_loading_everything_takes_little_time():
    def load_all() -> float:
        builtin_types.cache_clear()
        builtin_prices.cache_clear()
        start = time.process_time()
        for region in regions():
            Catalog.load(region)
        return time.process_time() - start

    assert min(load_all() for _ in range(3)) < 0.2


def test_only_the_region_asked_for_is_read():
    builtin_prices.cache_clear()
    Catalog.load("eu-west-1").price_uusd("m5.large")
    assert builtin_prices.cache_info().currsize == 1


def test_no_heavy_library_is_imported():
    code = (
        "import sys, batchsim.catalog, batchsim.catalog.limits;"
        "print([m for m in ('pandas', 'numpy', 'pydantic', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
