"""A user's catalogue: what its rows mean, and one clear line for everything that can be wrong with it."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsim.catalog import Catalog
from batchsim.catalog.tables import DATA
from batchsim.catalog.user_csv import MAX_FILE_BYTES, MAX_ROWS, USER_COLUMNS
from batchsim.errors import CatalogError


@pytest.fixture
def load(tmp_path):
    def load_text(text: str | bytes, region: str = "us-east-1") -> Catalog:
        path = tmp_path / "types.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Catalog.load(region, path)

    return load_text


def test_a_new_type_needs_three_columns_only(load):
    catalog = load("instance_type,vcpus,memory_mib\nlab.big,64,262144\n")
    one = catalog.get("lab.big")
    assert (one.family, one.size, one.vcpus, one.memory_mib) == ("lab", "big", 64, 262_144)
    assert (one.architecture, one.gpus, one.batch_allowed) == ("x86_64", 0, "yes")
    assert catalog.usable_memory_mib("lab.big", "registered") == 250_115


def test_every_column_is_used(load):
    catalog = load(
        "instance_type,vcpus,memory_mib,usable_memory_mib,usd_per_hour,as_of,architecture,processor,clock_ghz,"
        "gpus,gpu_model,gpu_memory_mib,network_gbps,local_disk_gb,bare_metal,batch_allowed\n"
        'lab,64,262144,260000,0.9,2026-01-31,arm64,"Ampere, One",3.2,2,L4,22888,25,1900,true,no\n'
    )
    one = catalog.get("lab")
    assert (one.architecture, one.processor, one.clock_ghz, one.network_gbps) == (
        "arm64",
        "Ampere, One",
        3.2,
        25,
    )
    assert (one.gpus, one.gpu_model, one.gpu_memory_mib, one.local_disk_gb) == (2, "L4", 22_888, 1900)
    assert (one.bare_metal, one.batch_allowed, one.batch_note) == (
        True,
        "no",
        "refused by the user's catalogue",
    )
    price = catalog.price_row("lab")
    assert (price.uusd, price.source, price.as_of, price.method) == (
        900_000,
        "types.csv",
        "2026-01-31",
        "user",
    )
    assert [catalog.usable_memory_mib("lab", model) for model in ("registered", "fitted", "nominal")] == [
        260_000,
        260_000,
        262_144,
    ]


def test_a_row_overrides_only_what_it_gives(load):
    shipped, catalog = Catalog.load("us-east-1"), load("instance_type,usd_per_hour,gpus\nm5.large,0.0812,\n")
    assert catalog.price_uusd("m5.large") == 81_200
    assert catalog.get("m5.large") == shipped.get("m5.large")
    assert catalog.price_row("m5.xlarge") == shipped.price_row("m5.xlarge")


def test_a_changed_nominal_memory_leaves_the_observed_table(load):
    catalog = load("instance_type,memory_mib\nm5.large,16384\n")
    assert catalog.usable_memory_mib("m5.large", "registered") == 15_414


def test_a_priced_new_type_joins_its_family(load):
    catalog = load("instance_type,vcpus,memory_mib,usd_per_hour\nm5.3xlarge,12,49152,0.576\n")
    listed = [one.name for one in catalog.resolve(["m5"])]
    assert listed[2:5] == ["m5.2xlarge", "m5.3xlarge", "m5.4xlarge"]


def test_a_retired_type_can_be_allowed_again(load):
    catalog = load("instance_type,batch_allowed\np3.2xlarge,yes\n")
    assert [one.name for one in catalog.resolve(["p3"])] == ["p3.2xlarge"]


def test_a_new_type_without_a_price_cannot_be_launched(load):
    catalog = load("instance_type,vcpus,memory_mib\nlab.big,64,262144\n")
    with pytest.raises(
        CatalogError, match=r"instanceTypes\.0: no On-Demand price of lab\.big .* usd_per_hour"
    ):
        catalog.resolve(["lab.big"])


def test_a_region_without_a_price_list_works_with_prices_of_ones_own(load):
    catalog = load("instance_type,usd_per_hour\nm5.large,0.107\n", region="ca-central-1")
    assert [one.name for one in catalog.resolve(["m5"])] == ["m5.large"]
    assert catalog.price_date() == "undated"
    with pytest.raises(CatalogError, match="no price list for this region"):
        load("instance_type,usd_per_hour\nm5.large,0.107\n", region="../../etc")


@pytest.mark.parametrize(
    "text",
    [
        "instance_type,vcpus,memory_mib\r\nlab,4,8192\r\n\r\n",
        "\ufeffinstance_type,vcpus,memory_mib\nlab , 4,8192",
    ],
)
def test_windows_line_ends_a_mark_of_byte_order_and_blank_lines_are_accepted(load, text):
    assert load(text).get("lab").vcpus == 4


HEADER = "instance_type,vcpus,memory_mib,usd_per_hour,architecture,gpus,bare_metal,as_of,usable_memory_mib\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "types.csv: expected a header row with instance_type, found an empty file"),
        ("vcpus\n4\n", "types.csv:1: expected a column instance_type"),
        ("instance_type,vcpu\n", "types.csv:1: unknown column: found 'vcpu'; did you mean vcpus?"),
        ("instance_type,zzz\n", "the columns are instance_type, vcpus"),
        ("instance_type,vcpus,vcpus\n", "types.csv:1: vcpus: the same column twice"),
        ("instance_type,vcpus\nlab\n", "types.csv:2: expected 2 cells, one per column, found 1"),
        ("instance_type,vcpus,memory_mib\nlab,4\n", "types.csv:2: expected 3 cells"),
        ("instance_type,vcpus\n,4\n", "types.csv:2: instance_type: expected a name, found an empty cell"),
        ("instance_type\n=1+1\n", "types.csv:2: instance_type: expected a name of up to 128 letters"),
        (
            "instance_type,vcpus\nlab,4\n",
            "types.csv:2: lab is not a shipped type: its row must give memory_mib",
        ),
        ("instance_type\nlab\n", "its row must give vcpus and memory_mib"),
        ("instance_type\nm5\n", "types.csv:2: instance_type: m5 is the name of a group of types"),
        ("instance_type\noptimal\n", "optimal is the name of a group of types"),
        (
            "instance_type\nm5.large\n\nm5.large\n",
            "types.csv:4: instance_type: m5.large is already given in line 2; keep one of the two rows",
        ),
        (
            'instance_type,gpu_model\nm5.large,L4\nm5.xlarge,"a\nb"\n',
            "types.csv:3: gpu_model: expected a text of up to 128 printable characters",
        ),
        ('instance_type,gpu_model\nm5.large,"L4\n', "types.csv:2: not a CSV row"),
        (
            HEADER + "lab,0,8192,,,,,,\n",
            "types.csv:2: vcpus: expected a whole number from 1 to 10,000, found '0'",
        ),
        (HEADER + "lab,1_0,8192,,,,,,\n", "vcpus: expected a whole number from 1 to 10,000, found '1_0'"),
        (HEADER + "lab,4,3,,,,,,\n", "memory_mib: expected a whole number from 4 to 100,000,000, found '3'"),
        (HEADER + "lab,4," + "9" * 5000 + ",,,,,,\n", "memory_mib: expected a whole number"),
        (
            HEADER + "lab,4,8192,nan,,,,,\n",
            "usd_per_hour: expected US dollars from 0 to 1,000,000, found 'nan'",
        ),
        (HEADER + "lab,4,8192,-1,,,,,\n", "usd_per_hour: expected US dollars"),
        (HEADER + "lab,4,8192,1000001,,,,,\n", "usd_per_hour: expected US dollars"),
        (HEADER + "lab,4,8192,,arm,,,,\n", "architecture: expected one of x86_64, arm64, found 'arm'"),
        (HEADER + "lab,4,8192,,,-1,,,\n", "gpus: expected a whole number from 0 to 1,000, found '-1'"),
        (HEADER + "lab,4,8192,,,,maybe,,\n", "bare_metal: expected 0, 1, true or false, found 'maybe'"),
        (
            HEADER + "lab,4,8192,,,,,31.1.2026,\n",
            "as_of: expected a date such as 2026-07-20, found '31.1.2026'",
        ),
        (
            HEADER + "lab,4,8192,,,,,,8193\n",
            "types.csv:2: lab: usable_memory_mib 8193 is more than memory_mib 8192",
        ),
        (
            "instance_type,batch_allowed\nm5.large,maybe\n",
            "batch_allowed: expected one of yes, no, found 'maybe'",
        ),
        (b"instance_type\nm5.large\n\xff\n", "types.csv:3: expected UTF-8 text, found byte 0xff"),
        (b"instance_type\nm5\0.large\n", "instance_type: expected a name"),
        ("instance_type\n" + "x" * 200_000, "types.csv:2: not a CSV row: field larger than field limit"),
    ],
)
def test_every_mistake_is_one_line_with_its_place(load, text, said):
    with pytest.raises(CatalogError) as caught:
        load(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_rows_are_counted(load):
    rows = "".join(f"z{number}\n" for number in range(MAX_ROWS))
    header = "instance_type,vcpus,memory_mib\n"
    load(header + rows.replace("\n", ",1,4\n"))
    with pytest.raises(CatalogError, match=r"types\.csv:10002: expected at most 10,000 types, found more"):
        load(header + (rows + "one-more\n").replace("\n", ",1,4\n"))


def test_bytes_are_counted(load):
    head = "instance_type\nm5.large\n"
    load(head + "\n" * (MAX_FILE_BYTES - len(head)))
    with pytest.raises(CatalogError, match="expected a catalogue of at most 1 MiB, found more"):
        load(head + "\n" * (MAX_FILE_BYTES - len(head) + 1))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(CatalogError, match=r"nope\.csv: the catalogue cannot be read: No such file"):
        Catalog.load("us-east-1", tmp_path / "nope.csv")
    with pytest.raises(CatalogError, match="cannot be read: Is a directory"):
        Catalog.load("us-east-1", tmp_path)


def test_the_readme_documents_every_column():
    section = (DATA / "README.md").read_text().partition("## A catalogue of your own")[2]
    table = "".join(line for line in section.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`([a-z_]{4,})`", table)) >= set(USER_COLUMNS)


def test_the_example_of_the_readme_works(load):
    section = (DATA / "README.md").read_text().partition("## A catalogue of your own")[2]
    example = "\n".join(line.strip() for line in section.splitlines() if line.startswith("    "))
    catalog = load(example)
    assert catalog.price_uusd("m5.large") == 81_000
    assert catalog.usable_memory_mib("m5.large", "registered") == 7600
    assert catalog.get("lab.big").gpus == 2


cells = st.sampled_from(
    [
        "m5.large",
        "lab",
        "lab",
        "4",
        "8192",
        "0.1",
        "",
        "x86_64",
        '"',
        "\n",
        ",",
        "instance_type",
        "vcpus",
        "memory_mib",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.lists(cells, max_size=40).map(lambda parts: ",".join(parts).encode()))
def test_anything_else_is_a_catalogue_or_a_catalogue_error(load, content):
    for start in (b"", b"instance_type,vcpus,memory_mib\n"):
        try:
            catalog = load(start + content)
        except CatalogError as error:
            assert "types.csv" in str(error)  # noqa: PT017 - both outcomes are fine, each with its law
        else:
            assert catalog.get("m5.large").vcpus >= 1
