"""Tables on narrow terminals: words give way, then columns, then the table; numbers never do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchsim.cli.narrow import GAP, fitted, labels, records
from batchsim.cli.output import Column, Table, print_facts, print_table

ENVIRONMENTS = Table(
    "",
    [
        Column("environment", words=True),
        Column("instances", spare=1),
        Column("vCPU-h\npaid", spare=2),
        Column("\nused", spare=3),
        Column("cost\nUSD"),
    ],
    [("the one in the cellar", "1,234", "5,997.9", "2,941.7", "254.91"), ("b", "3", "0.5", "0.1", "0.01")],
)


def headers(table: Table) -> list[str]:
    return labels(table.columns)


def test_where_there_is_room_nothing_changes():
    table, widths = fitted(ENVIRONMENTS, 80)
    assert table is ENVIRONMENTS
    assert widths == [21, 9, 7, 7, 6]


def test_words_are_wrapped_before_a_column_is_left_out():
    table, widths = fitted(ENVIRONMENTS, 48)
    assert table is ENVIRONMENTS
    assert widths == [11, 9, 7, 7, 6]


def test_columns_are_left_out_by_their_rank_and_told():
    table, _ = fitted(ENVIRONMENTS, 47)
    assert headers(table) == ["environment", "instances", "vCPU-h paid", "cost USD"]
    assert table.rows[0] == ["the one in the cellar", "1,234", "5,997.9", "254.91"]
    assert table.left_out == "no room for vCPU-h used; --format wide shows all"
    table, _ = fitted(ENVIRONMENTS._replace(left_out="3 rows were cut"), 19)
    assert headers(table) == ["environment", "cost USD"]
    assert table.left_out.splitlines() == [
        "3 rows were cut",
        "no room for instances, vCPU-h paid, vCPU-h used; --format wide shows all",
    ]


def test_a_table_that_can_spare_no_more_is_told_row_by_row(capsys):
    assert fitted(ENVIRONMENTS, 18) is None
    assert list(records(ENVIRONMENTS))[1] == [
        ("environment", "b"),
        ("instances", "3"),
        ("vCPU-h paid", "0.5"),
        ("vCPU-h used", "0.1"),
        ("cost USD", "0.01"),
    ]


numbers = st.from_regex(r"\A[0-9]{1,3}(,[0-9]{3}){0,2}(\.[0-9]{1,4})?\Z")
words = st.from_regex(r"\A[a-z]{1,12}( [a-z]{1,12}){0,4}\Z")


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns = draw(
        st.lists(
            st.builds(Column, words, words=st.booleans(), spare=st.integers(0, 3)), min_size=1, max_size=6
        )
    )
    row = st.tuples(*(words if column.words else numbers for column in columns))
    return Table("", columns, draw(st.lists(row, max_size=4)))


@given(tables(), st.integers(1, 90))
def test_no_number_is_narrowed_and_the_whole_fits(table, room):
    fit = fitted(table, room)
    if fit is None:
        return
    narrower, widths = fit
    assert sum(widths) + GAP * (len(widths) - 1) <= room
    for index, (column, width) in enumerate(zip(narrower.columns, widths, strict=True)):
        texts = [column.header, *(row[index] for row in narrower.rows)]
        parts = [word for text in texts for word in text.split()] if column.words else texts
        assert max(map(len, parts)) <= width
    left_out = [column for column in table.columns if column not in narrower.columns]
    assert all(column.spare >= other.spare for column in left_out for other in narrower.columns)


@given(tables(), st.integers(0, 3))
def test_more_room_never_shows_less(table, more):
    narrow, wide = (fitted(table, room) for room in (30, 30 + more))
    if narrow is not None:
        assert wide is not None
        assert len(wide[0].columns) >= len(narrow[0].columns)


def test_off_a_terminal_a_table_is_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    print_table(ENVIRONMENTS)
    assert "the one in the cellar      1,234  5,997.9  2,941.7  254.91" in capsys.readouterr().out


def test_text_is_not_wrapped_inside_a_quantity(capsys, monkeypatch):
    from batchsim.cli import output

    monkeypatch.setattr(output, "_UNLIMITED", 22)
    print_facts([("waiting", "mean 2h 44m, P50 12m 05s"), ("bill", "unused, 100.0 % used")])
    assert capsys.readouterr().out.splitlines() == [
        "waiting  mean 2h 44m,",
        "         P50 12m 05s",
        "bill     unused,",
        "         100.0 % used",
    ]
