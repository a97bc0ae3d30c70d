from __future__ import annotations

import re

import pytest

from batchsim.scenario import Assumptions, assumption_table, load_scenario
from batchsim.units import parse_rate

SECOND = 1_000_000

# Recommended defaults of the behaviour specification, section 5.3 and the sections named beside them.
AWS = {
    "schedulingInterval": 1 * SECOND,
    "scalingInterval": 30 * SECOND,
    "submitEvaluation": 1 * SECOND,
    "dispatchDelay": 1 * SECOND,
    "containerStart": {"constant": 2 * SECOND},
    "capacityReaction": {"uniform": {"low": 5 * SECOND, "high": 60 * SECOND}},
    "instanceLaunch": {"lognormal": {"median": 20 * SECOND, "p95": 60 * SECOND}},
    "instanceRegistration": {"lognormal": {"median": 60 * SECOND, "p95": 150 * SECOND}},
    "imagePullRate": 100.0,
    "imageSize": 500_000_000,
    "imagePullSpread": 0.0,
    "imagePullSharing": "none",
    "imagePullNetwork": "burst",
    "registryBandwidth": 0,
    "launchCooloff": 180 * SECOND,
    "insufficientCapacity": 0.0,
    "availabilityZones": (),
    "neverRegisters": (),
    "invalidAfter": 3600 * SECOND,
    "capacityShortages": (),
    "placementGroupShortage": 0,
    "accountQuotas": {"onDemand": {}, "spot": {}},
    "spotAvailability": (),
    "spotPrices": (),
    "spotPriceFactor": 0.36,
    "spotInterruptions": "day",
    "spotInterruptionBand": 2,
    "spotCorrelation": 0.0,
    "fargateProvisioning": {"lognormal": {"median": 20 * SECOND, "p95": 45 * SECOND}},
    "fargatePullRate": 60.0,
    "fargatePullSpread": 0.0,
    "fargateLaunchRate": 20.0,
    "fargateLaunchBurst": 100,
    "fargateTaskLifetime": 14 * 24 * 3600 * SECOND,
    "fargateSpotFactor": 0.3,
    "instanceVolume": 0,
    "volumePrice": 0.08,
    "managedInstancesFee": 0.12,
    "eksClusterPrice": 0.1,
    "spotNotice": 120 * SECOND,
    "idleScaleIn": 120 * SECOND,
    "speedFactors": {},
    "sizeTiebreak": "largest_not_exceeding_demand",
    "backfill": "none",
    "estimate": "exact",
    "fairShareModel": "finished",
    "wildcardSplit": True,
    "submitJobRate": 50.0,
    "submitServiceJobRate": 5.0,
    "trainingPending": {"constant": 120 * SECOND},
    "trainingDownload": {"constant": 60 * SECOND},
    "trainingStop": 20 * SECOND,
    "startFailureConsumesAttempt": True,
    "evaluateOnExitLimit": 5,
    "memoryModel": "registered",
    "eksMaxPods": "interfaces",
    "traceMemoryPerVcpu": 4,
    "stopGrace": 30 * SECOND,
}
KEPT_IN_IDEAL = {
    "imagePullSharing": "none",
    "imagePullNetwork": "burst",
    "availabilityZones": (),
    "neverRegisters": (),
    "capacityShortages": (),
    "placementGroupShortage": 0,
    "accountQuotas": {"onDemand": {}, "spot": {}},
    "spotAvailability": (),
    "spotPrices": (),
    "speedFactors": {},
    "fargateLaunchBurst": 100,
    "fargateSpotFactor": 0.3,
    "instanceVolume": 0,
    "volumePrice": 0.08,
    "managedInstancesFee": 0.12,
    "eksClusterPrice": 0.1,
    "spotPriceFactor": 0.36,
    "spotInterruptionBand": 2,
    "spotNotice": 120 * SECOND,
    "sizeTiebreak": "largest_not_exceeding_demand",
    "backfill": "none",
    "estimate": "exact",
    "fairShareModel": "finished",
    "wildcardSplit": True,
    "startFailureConsumesAttempt": True,
    "evaluateOnExitLimit": 5,
    "memoryModel": "nominal",
    "eksMaxPods": "interfaces",
    "traceMemoryPerVcpu": 4,
    "stopGrace": 30 * SECOND,
}
MEASURED = {
    "scalingInterval": 1 * SECOND,
    "dispatchDelay": 8 * SECOND,
    "containerStart": {"lognormal": {"median": 2 * SECOND, "p95": 6 * SECOND}},
    "capacityReaction": {"lognormal": {"median": 170 * SECOND, "p95": 320 * SECOND}},
    "instanceLaunch": {"lognormal": {"median": 30 * SECOND, "p95": 46 * SECOND}},
    "instanceRegistration": {"lognormal": {"median": 46 * SECOND, "p95": 111 * SECOND}},
    "imagePullRate": 35.0,
    "imagePullSpread": 0.515,
    "imagePullSharing": "instance",
    "fargateProvisioning": {"lognormal": {"median": 25 * SECOND, "p95": 45 * SECOND}},
    "fargatePullRate": 13.0,
    "fargatePullSpread": 0.375,
}
"""What preset `measured` says otherwise than `aws`."""
DISTRIBUTIONS = (
    "containerStart",
    "capacityReaction",
    "instanceLaunch",
    "instanceRegistration",
    "fargateProvisioning",
    "trainingPending",
    "trainingDownload",
)


def values_of(assumptions: Assumptions) -> dict[str, object]:
    return assumptions.model_dump(exclude={"preset"}, exclude_none=True)


def test_the_aws_preset():
    assert values_of(Assumptions.model_validate({})) == AWS
    assert values_of(Assumptions.model_validate({"preset": "aws"})) == AWS


def test_the_measured_preset_differs_in_start_up_times_only():
    assert values_of(Assumptions.model_validate({"preset": "measured"})) == AWS | MEASURED


def test_the_ideal_preset_has_no_delay():
    ideal = values_of(Assumptions.model_validate({"preset": "ideal"}))
    zero = {
        name: {"constant": 0} if name in DISTRIBUTIONS else 0 for name in AWS if name not in KEPT_IN_IDEAL
    }
    assert ideal == zero | KEPT_IN_IDEAL


def test_a_scenario_without_assumptions_has_those_of_aws(kth):
    assert values_of(load_scenario(kth, ["assumptions="]).assumptions) == AWS


@pytest.mark.parametrize("preset", ["aws", "measured", "ideal"])
def test_a_given_assumption_wins_over_the_preset(kth, preset):
    overrides = [
        f"assumptions.preset={preset}",
        "assumptions.idleScaleIn=7s",
        "assumptions.instanceLaunch=9s",
    ]
    assumptions = load_scenario(kth, overrides).assumptions
    assert assumptions.idleScaleIn == 7 * SECOND
    assert (assumptions.instanceLaunch.kind, assumptions.instanceLaunch.chosen) == ("constant", 9 * SECOND)
    default = Assumptions.model_validate({"preset": preset})
    assert assumptions.dispatchDelay == default.dispatchDelay


def test_resolved_states_every_value(kth):
    assumptions = load_scenario(kth).assumptions
    given = assumptions.model_dump(mode="json", exclude_unset=True)
    stated = assumptions.resolved().model_dump(mode="json", exclude_unset=True, exclude_none=True)
    assert given == {"preset": "ideal"}
    assert set(stated) == {"preset", *AWS}
    assert stated["stopGrace"] == "30s"
    assert Assumptions.model_validate(stated) == assumptions.resolved()


def test_the_table_has_every_assumption_with_unit_source_and_sentence():
    table = assumption_table()
    assert [row.name for row in table] == list(AWS)
    for row in table:
        assert row.unit in {
            "time",
            "MB/s",
            "bytes",
            "MiB",
            "USD/GB-month",
            "choice",
            "USD/hour",
            "1/s",
            "rules",
            "pods",
            "fraction",
            "tasks",
            "factor",
            "vCPU",
            "zones",
            "environments",
            "traces",
        }
        assert re.fullmatch(r"\[spec \d+\.\d+(, \d+\.\d+)*\]|\[measured\]|\[AWS .+: .+\]", row.source)
        assert row.sentence.endswith(".")


@pytest.mark.parametrize("preset", ["aws", "measured", "ideal"])
def test_the_table_says_what_the_presets_hold(all_built, preset):
    written = {row.name: getattr(row, preset) for row in assumption_table()}
    assert Assumptions.model_validate(written) == Assumptions.model_validate({"preset": preset}).model_copy(
        update={"preset": "aws"}
    )


def test_a_number_that_is_too_large_is_not_told_that_it_is_no_mapping(problems_of):
    text = "batchsim: 1\nname: n\nassumptions: {insufficientCapacity: 1.5}\n"
    told = [line for line in problems_of(text) if "insufficientCapacity" in line]
    assert len(told) == 1
    assert told[0].endswith("expected a value of at most 1, found 1.5")


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("0.02/h", "0.02/h"),
        ("120/h", "2/m"),
        ("0.5/d", "0.5/d"),
        ("2/s", "2/s"),
        ("7/h", "7/h"),
        ("1/m", "1/m"),
    ],
)
def test_a_rate_is_written_in_the_unit_in_which_it_is_short_and_reads_back(given, written):
    assumed = Assumptions.model_validate({"spotInterruptions": given})
    assert assumed.model_dump(mode="json")["spotInterruptions"] == written
    assert parse_rate(written) == parse_rate(given)
