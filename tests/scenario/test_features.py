"""Parts of a scenario as they are stored: shares, outcomes, events, service jobs."""

from __future__ import annotations

import pytest

from batchsim.scenario import (
    FairsharePolicy,
    OnSigterm,
    QuotaShare,
    Scenario,
    SchedulingPolicy,
    ServiceJobs,
    Target,
    load_scenario,
    parse_target,
)

pytestmark = pytest.mark.usefixtures("all_built")
SECOND = 10**6


@pytest.fixture
def scenario(everything) -> Scenario:
    return load_scenario(everything)


def entry(scenario: Scenario, name: str):
    return next(each for _, each in scenario.entries() if each.name == name)


class TestWorkload:
    def test_entries_and_events_know_their_positions(self, scenario):
        entries, events = scenario.entries(), scenario.events()
        assert sorted(index for index, _ in (*entries, *events)) == list(range(len(scenario.workload)))
        assert [each.name for _, each in entries if isinstance(each, ServiceJobs)] == ["fits", "tunes"]
        assert [each.name for _, each in scenario.submissions()][-1] == "dag"
        for index, each in (*entries, *events):
            assert scenario.workload[index] is each

    def test_events_are_stored_as_written(self, scenario):
        cancel, terminate, update = (event for _, event in scenario.events())
        assert (cancel.at, cancel.cancel, cancel.reason) == (7200 * SECOND, "prepare-1:2", "not needed")
        assert (terminate.at, terminate.terminate, terminate.reason) == (
            10_800 * SECOND,
            "simulate",
            "too dear",
        )
        assert (update.updateConsumableResource, update.operation, update.quantity) == ("licences", "ADD", 5)

    def test_both_spellings_of_an_array(self, scenario):
        assert entry(scenario, "prepare").array_size == 3
        assert entry(scenario, "analyse").array_size == 3
        assert entry(scenario, "simulate").array_size is None

    def test_dependencies(self, scenario):
        dependencies = entry(scenario, "analyse").dependsOn
        assert [(each.group, each.type) for each in dependencies] == [
            ("prepare", "N_TO_N"),
            (None, "SEQUENTIAL"),
            ("simulate", None),
        ]


class TestTargets:
    ENTRIES = ("samples", "samples-2", "a.b")

    @pytest.mark.parametrize(
        ("text", "target"),
        [
            ("samples", Target("samples")),
            ("samples-17", Target("samples", 17)),
            ("samples-17:3", Target("samples", 17, 3)),
            ("samples-2", Target("samples-2")),
            ("samples-2-0", Target("samples-2", 0)),
            ("a.b-1", Target("a.b", 1)),
            ("samples:3", None),
            ("samples-", None),
            ("samples-x", None),
            ("other-1", None),
            ("", None),
        ],
    )
    def test_a_name_comes_before_a_number(self, text, target):
        assert parse_target(text, self.ENTRIES) == target


class TestOutcomes:
    @pytest.mark.parametrize(
        ("given", "code", "after", "ignored"),
        [
            ("exit", 143, 0, False),
            ("ignore", 143, 0, True),
            ({"exit": 0, "after": "5s"}, 0, 5 * SECOND, False),
            ({}, 143, 0, False),
        ],
    )
    def test_reactions_to_sigterm(self, given, code, after, ignored):
        reaction = OnSigterm.model_validate(given)
        assert (reaction.exit, reaction.after, reaction.ignored) == (code, after, ignored)
        again = OnSigterm.model_validate(reaction.model_dump(mode="json", exclude_unset=True))
        assert again == reaction

    def test_the_default_is_to_exit_at_once(self, scenario):
        assert entry(scenario, "simulate").onSigterm == OnSigterm.model_validate("exit")

    def test_scripted_outcomes(self, scenario):
        prepare = entry(scenario, "prepare")
        assert prepare.exitCodes == (1, 1, 0)
        assert prepare.reasons == ("", "OutOfMemoryError: Container killed due to memory usage")
        assert (prepare.startFailures.rate, prepare.startFailures.reason) == (0.1, "DockerTimeoutError")


class TestShares:
    def test_one_identifier_is_a_mapping_too(self, scenario, everything):
        assert entry(scenario, "analyse").shareIdentifier == {"bio1": 3.0, "chem": 1.0}
        single = load_scenario(everything, ["workload.analyse.shareIdentifier=bio1"])
        mapped = load_scenario(everything, ["workload.analyse.shareIdentifier={bio1: 1}"])
        assert entry(single, "analyse").shareIdentifier == {"bio1": 1.0}
        assert single.digest() == mapped.digest()

    def test_policies_of_queues(self, scenario):
        fair, main, gpus = (scenario.queue(name) for name in ("fair", "main", "gpus"))
        assert scenario.policy(fair).name == "labs"
        assert scenario.fair_share(fair).computeReservation == 25
        assert scenario.policy(main) is None
        assert scenario.fair_share(main) is None
        assert scenario.fair_share(gpus) is None
        assert scenario.has_quota_shares(gpus)
        assert not scenario.has_quota_shares(fair)

    def test_a_policy_with_nothing_in_it_is_fair_share(self):
        policy = SchedulingPolicy.model_validate({"name": "p"})
        assert policy.fair_share() == FairsharePolicy()
        assert (policy.fair_share().shareDecaySeconds, policy.fair_share().computeReservation) == (0, 0)

    @pytest.mark.parametrize(
        ("identifier", "found"),
        [("bio", "bio*"), ("bio1", "bio*"), ("chem", "chem"), ("chem1", None), ("x", None)],
    )
    def test_which_entry_a_share_belongs_to(self, scenario, identifier, found):
        entry_of = scenario.fair_share(scenario.queue("fair")).entry_of(identifier)
        assert (entry_of and entry_of.shareIdentifier) == found
        if found == "bio*":
            assert entry_of.weightFactor == 0.125


class TestServiceJobs:
    def test_they_are_stored_as_written(self, scenario):
        fits, tunes = entry(scenario, "fits"), entry(scenario, "tunes")
        assert (fits.resourceConfig.instanceType, fits.resourceConfig.instanceCount) == ("ml.m5.large", 10)
        assert (fits.capacityFailures.first, fits.capacityFailures.rate) == (1, 0.1)
        assert fits.retryStrategy.evaluateOnExit[0].onStatusReason == "Received status from SageMaker: *"
        assert fits.preemptionConfiguration.preemptionRetriesBeforeTermination is None
        assert tunes.preemptionConfiguration.preemptionRetriesBeforeTermination == 0
        assert tunes.retryStrategy.attempts == 1

    def test_a_quota_share_by_default_reserves(self, scenario):
        red, blue = scenario.quotaShares
        assert (red.resourceSharingConfiguration.strategy, red.resourceSharingConfiguration.borrowLimit) == (
            "LEND_AND_BORROW",
            100,
        )
        assert blue.resourceSharingConfiguration.strategy == "RESERVE"
        assert blue.preemptionConfiguration.inSharePreemption == "DISABLED"

    def test_a_pasted_quota_share_names_its_queue_by_arn(self):
        share = QuotaShare.model_validate(
            {
                "quotaShareName": "s",
                "quotaShareArn": "arn:aws:batch:us-east-1:123456789012:job-queue/gpus/quota-share/s",
                "jobQueueArn": "arn:aws:batch:us-east-1:123456789012:job-queue/gpus",
                "capacityLimits": [{"maxCapacity": 1, "capacityUnit": "ml.m5.large"}],
                "resourceSharingConfiguration": {"strategy": "LEND_AND_BORROW", "borrowLimit": -1},
                "preemptionConfiguration": {"inSharePreemption": "DISABLED"},
                "state": "ENABLED",
                "status": "VALID",
            }
        )
        assert share.queue == "gpus"
