"""What the table says of the files on which a result rests."""

from batchsim.cli.foundations import foundations

NOTHING = {"seed": 0}


def told(recorded):
    manifest = {"scenario": {}, "workload": {}, "spot_prices": recorded}
    return [text for name, text in foundations(NOTHING, manifest) if name == "spotPrices"]


def notes(**changed):
    return {
        "rows_read": 9,
        "prices": 4,
        "dropped": {"other zones": 5, "other regions": 0},
        "other_types": [],
        "begins_at": None,
        "begin_is_said": False,
        "ended_at": None,
        "late_pools": 0,
        **changed,
    }


def test_a_record_of_spot_prices_is_told_with_the_time_of_the_run():
    at = "2026-06-08T11:13:04Z"
    rows = "4 of 9 rows, 5 left out (other zones)"
    assert told({}) == []
    assert told({"traces": [notes()]}) == [rows]
    assert told({"traces": [notes(begins_at=at, begin_is_said=True, late_pools=2)]}) == [
        f"{rows}; the run begins at {at}; 2 pools have no price at the beginning yet: the first is taken"
    ]
    assert told({"traces": [notes(begins_at=at)]}) == [
        f"{rows}; the run begins at {at}, when the last pool gets its first price"
    ]
    (text,) = told({"traces": [notes(begins_at=at, begin_is_said=True, ended_at="2026-06-01T00:00:00Z")]})
    assert text.endswith("; the last price, of 2026-06-01T00:00:00Z, is older and holds throughout")


def test_types_that_a_record_of_spot_prices_does_not_share_with_the_scenario_are_named():
    one, more = told({"traces": [notes(other_types=list("abcde"))], "unrecorded_types": ["f"]})
    assert one.endswith("; no Spot environment has a, b, c and 2 more types")
    assert more == "none of f, whose prices are the catalogue's"


def test_calls_that_left_long_after_they_were_wanted_are_told():
    def told_of(**late):
        held = {"source": "generated", "held_by": "submitJobRate"}
        manifest = {"scenario": {}, "assumptions": {"submitJobRate": "50/s"}}
        manifest["workload"] = {
            "a": {**held, "calls_delayed": 7, "longest_delay_s": 1.5},
            "b": {**held, "calls_delayed": 0, "longest_delay_s": 0.0, **late},
        }
        return [text for name, text in foundations(NOTHING, manifest) if name == "submission"]

    assert told_of() == []
    assert told_of(calls_delayed=1_000, longest_delay_s=59.9) == []
    (text,) = told_of(calls_delayed=1_000, longest_delay_s=90.0)
    held = "1,007 calls were held back, the longest for 1m 30s, as AWS takes 50/s"
    assert text == f"{held} (submitJobRate); waits count from the call"
