"""Specification 9.2, number 53: how fast an account may submit."""

from __future__ import annotations

from tests.spec.scenarios import scenario, submit

LIMITED = {"submitJobRate": "50/s"}


def test_spec_53_ten_thousand_single_submissions_take_200_s(run):
    result = run(scenario(submit("a", "1s", count=10_001), assumptions=LIMITED))
    submitted = result.jobs["submit_s"]
    assert (submitted < 200).sum() == 10_000  # the calls fill the 200 s: the next one leaves at their end
    assert submitted.max() == 200
    assert (submitted.diff().dropna() > 0.0199).all()


def test_spec_53_an_array_of_ten_thousand_is_one_call(run):
    result = run(scenario(submit("a", "1s", array={"size": 10_000}), assumptions=LIMITED))
    assert result.jobs["submit_s"].max() == 0
