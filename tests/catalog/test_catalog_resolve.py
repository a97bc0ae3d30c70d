"""Names in `instanceTypes`: types, families, bundles, and every reason to refuse one [spec 3.3, 3.4]."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsim.catalog import BUNDLES, Catalog, InstanceType, Price
from batchsim.catalog.instance_types import builtin_types
from batchsim.catalog.prices import regions
from batchsim.errors import CatalogError

US = Catalog.load("us-east-1")
C5 = [
    "c5.large",
    "c5.xlarge",
    "c5.2xlarge",
    "c5.4xlarge",
    "c5.9xlarge",
    "c5.12xlarge",
    "c5.18xlarge",
    "c5.24xlarge",
]


def names(types: list[InstanceType]) -> list[str]:
    return [one.name for one in types]


def refused(*entries: str, catalog: Catalog = US) -> str:
    with pytest.raises(CatalogError) as caught:
        catalog.resolve(entries, path="computeEnvironments.spot.computeResources.instanceTypes")
    text = str(caught.value)
    assert text.startswith("computeEnvironments.spot.computeResources.instanceTypes")
    return text.removeprefix("computeEnvironments.spot.computeResources.instanceTypes")


def test_an_explicit_type_is_itself():
    assert names(US.resolve(["m5.large"])) == ["m5.large"]


def test_a_family_is_its_virtual_sizes_small_first():
    assert names(US.resolve(["c5"])) == C5


def test_a_bare_metal_size_must_be_named():
    assert names(US.resolve(["c5.metal"])) == ["c5.metal"]
    assert names(US.resolve(["c5", "c5.metal"])) == [*C5, "c5.metal"]


@pytest.mark.parametrize("region", regions())
def test_no_family_or_bundle_holds_bare_metal(region):
    catalog = Catalog.load(region)
    families = {one.family for one in catalog.launchable_types() if not one.bare_metal}
    for entry in [*sorted(families), *BUNDLES]:
        assert not any(one.bare_metal for one in catalog.resolve([entry])), entry


@pytest.mark.parametrize(
    ("bundle", "families"),
    [
        ("optimal", ["m6i", "c6i", "r6i", "c7i"]),
        ("default_x86_64", ["m6i", "c6i", "r6i", "c7i"]),
        ("default_arm64", ["m6g", "c6g", "r6g", "c7g"]),
    ],
)
def test_a_bundle_is_its_families_in_order(bundle, families):
    assert names(US.resolve([bundle])) == names(US.resolve(families))
    assert list(dict.fromkeys(one.family for one in US.resolve([bundle]))) == families


def test_scenario_42_an_explicit_type_keeps_its_own_place():
    listed = names(US.resolve(["m7a.4xlarge", "m7a", "m6a"]))
    assert listed[:3] == ["m7a.4xlarge", "m7a.medium", "m7a.large"]
    assert listed.count("m7a.4xlarge") == 1
    assert names(US.resolve(["m7a", "m7a.4xlarge"]))[-1] == "m7a.4xlarge"


def test_entries_that_overlap_give_each_type_once():
    assert names(US.resolve(["c6i", "optimal", "c6i"])) == names(US.resolve(["c6i", "m6i", "r6i", "c7i"]))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("t3", "t3 is burstable: AWS Batch refuses it; only an unmanaged compute environment may use it"),
        ("t3.large", "t3.large is burstable: AWS Batch refuses it"),
        ("t4g", "t4g is burstable: AWS Batch refuses it"),
        ("t1.micro", "t1.micro is burstable: AWS Batch refuses it"),
        ("mac2.metal", "mac2.metal is a macOS type on a dedicated host: AWS Batch refuses it"),
        ("p3.2xlarge", "p3.2xlarge is retired: AWS no longer offers it (last described 2026-04-01)"),
        ("p3", "p3 is retired"),
    ],
)
def test_types_that_batch_refuses(entry, reason):
    assert refused("c5.large", entry).startswith(f".1: {reason}")


def test_a_refused_type_can_still_be_described_and_priced_for_unmanaged_environments():
    assert US.get("t3.micro").burstable
    assert US.price_uusd("t3.micro") == 10_400


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("m5.3xlarge", "m5 has large, xlarge, 2xlarge, 4xlarge"),
        ("p4", "did you mean p4d or p4de?"),
        ("optimum", "did you mean optimal"),
        ("default_x86", "did you mean default_x86_64"),
        ("M5.LARGE", "of your own"),
        ("", "of your own"),
        ("x" * 100_000, "of your own"),
    ],
)
def test_unknown_names(entry, hint):
    text = refused(entry)
    assert text.startswith(".0: ")
    assert "is not an instance type that this catalogue knows" in text
    assert hint in text
    assert len(text) < 400


def test_an_empty_list_is_refused():
    assert refused() == ": expected an instance type, a family or a bundle, found none"


def test_one_architecture_only():
    text = refused("c5.large", "m5.large", "c6g")
    assert text.startswith(
        ".2: one architecture per compute environment: c5.large is x86_64, c6g.medium is arm64"
    )
    assert "two compute environments" in text
    assert names(US.expand(["c5.large", "c6g.large"])) == ["c5.large", "c6g.large"]


def test_a_type_that_the_region_does_not_sell_names_those_that_do():
    text = refused("hpc7a.12xlarge")
    assert ".0: no On-Demand price of hpc7a.12xlarge in us-east-1 is known" in text
    assert "its price is known in eu-west-1, us-east-2;" in text
    assert "of any size of hpc7a in us-east-1" in refused("hpc7a")
    with pytest.raises(CatalogError, match="eu-west-1, us-east-2"):
        US.price_uusd("hpc7a.12xlarge")


def test_a_type_without_any_price_says_so():
    assert "no shipped price list has it; a catalogue of your own can give its usd_per_hour" in refused(
        "p5e.48xlarge"
    )


def test_a_type_without_evidence_is_accepted():
    assert US.get("hpc7g.4xlarge").batch_allowed == "unverified"
    assert names(US.resolve(["hpc7g.4xlarge"])) == ["hpc7g.4xlarge"]


def test_a_bundle_skips_families_that_a_region_does_not_sell():
    types = {name: builtin_types()[name] for name in ("m6i.large", "c7i.large")}
    catalog = Catalog("us-east-1", types, {"c7i.large": Price(0.09, "test", "2026-01-01", "list")})
    assert names(catalog.resolve(["optimal"])) == ["c7i.large"]
    assert "no On-Demand price of any size of m6i" in refused("m6i", catalog=catalog)


def test_a_family_of_bare_metal_only_must_be_named():
    metal = InstanceType("zz.metal", "zz", "metal", 8, 8192, bare_metal=True)
    catalog = Catalog("us-east-1", {"zz.metal": metal}, {"zz.metal": Price(1.0, "test", "", "list")})
    assert refused("zz", catalog=catalog) == (
        ".0: zz has bare-metal sizes only; a bare-metal size must be listed by its full name"
    )
    assert names(catalog.resolve(["zz.metal"])) == ["zz.metal"]


@pytest.mark.parametrize(
    ("region", "hint"),
    [("us-est-1", "did you mean us-east-1?"), ("", "of your own"), ("mars-north-1", "expected one of")],
)
def test_an_unknown_region(region, hint):
    with pytest.raises(CatalogError) as caught:
        Catalog.load(region)
    assert str(caught.value).startswith(
        "region: no price list for this region: expected one of ap-northeast-1"
    )
    assert hint in str(caught.value)


def test_price_date_is_one_date_or_a_span():
    assert US.price_date() == "2026-07-20"
    assert US.price_date("eu-west-1") == Catalog.load("eu-west-1").price_date() == "2024-06-13 to 2026-07-20"


def test_price_row_has_its_origin():
    row = Catalog.load("eu-west-1").price_row("m5.xlarge")
    assert (row.usd, row.source, row.as_of, row.method) == (0.214, "skypilot-catalog", "2024-06-13", "list")


X86_ENTRIES = sorted(
    {"optimal", "default_x86_64"}
    | {one.family for one in US.launchable_types() if one.architecture == "x86_64" and not one.bare_metal}
    | {one.name for one in US.launchable_types() if one.architecture == "x86_64"}
)


@given(st.lists(st.sampled_from(X86_ENTRIES), min_size=1, max_size=8))
def test_resolution_is_what_a_plain_reading_of_the_list_gives(entries):
    def stands_for(entry: str) -> list[str]:
        if "." in entry:
            return [entry]
        families = BUNDLES.get(entry, (entry,))
        everything = builtin_types().values()
        found = []
        for family in families:
            sizes = [one for one in everything if one.family == family and "metal" not in one.size]
            sizes.sort(key=lambda one: (one.vcpus, one.memory_mib, one.name))
            found += [one.name for one in sizes if one.name in US_PRICED and one.name not in entries]
        return found

    expected = list(dict.fromkeys(name for entry in entries for name in stands_for(entry)))
    assert names(US.resolve(entries)) == expected


US_PRICED = frozenset(one.name for one in US.launchable_types())


def test_patterns_of_the_default_families_stand_for_what_the_bundles_do():
    for region in US.regions():
        catalog = Catalog.load(region)
        bundles = catalog.expand(("default_x86_64", "default_arm64"))
        matched = catalog.matching(catalog.default_patterns(), "types")
        assert {one.name for one in matched} == {one.name for one in bundles}
        assert {one.architecture for one in matched} == {"x86_64", "arm64"}
