"""AWS Batch service quotas and limits [spec 5.4].

Counts are per account and region unless the name says otherwise. The first block is fixed by AWS and
cannot be raised.
"""

from __future__ import annotations

from typing import Final

# [UG: service_limits]
JOB_QUEUES: Final = 50
COMPUTE_ENVIRONMENTS: Final = 50
COMPUTE_ENVIRONMENTS_PER_EKS_CLUSTER: Final = 5
COMPUTE_ENVIRONMENTS_PER_QUEUE: Final = 3
DEPENDENCIES_PER_JOB: Final = 20
JOB_DEFINITION_BYTES: Final = 24 * 1024
SUBMIT_JOB_PAYLOAD_BYTES: Final = 30 * 1024
ARRAY_SIZE: Final = 10_000
SUBMITTED_JOBS: Final = 1_000_000
SUBMIT_JOB_PER_SECOND: Final = 50
CONSUMABLE_RESOURCES: Final = 50_000
SERVICE_ENVIRONMENTS: Final = 50
SERVICE_ENVIRONMENTS_PER_QUEUE: Final = 1
QUOTA_SHARES_PER_QUEUE: Final = 20
SUBMIT_SERVICE_JOB_PER_SECOND: Final = 5
SUBMIT_SERVICE_JOB_REQUEST_BYTES: Final = 30 * 1024
SUBMIT_SERVICE_JOB_PAYLOAD_BYTES: Final = 10 * 1024

# [API: RetryStrategy, EvaluateOnExitList, NodeProperties, EcsProperties] [spec 1.3, 1.4, 1.11, 1.13, 2.4]
SERVICE_JOB_ATTEMPTS: Final = 10
SHARE_IDENTIFIERS_PER_QUEUE: Final = 500
JOB_ATTEMPTS: Final = 10
EVALUATE_ON_EXIT_RULES: Final = 5
NODES_PER_JOB: Final = 1_000
NODE_GROUPS_PER_JOB: Final = 5
CONTAINERS_PER_TASK: Final = 10
LAUNCH_TEMPLATE_OVERRIDES_PER_ENVIRONMENT: Final = 10

# [API: DescribeJobsRequest] [API: ListJobsRequest.maxResults]
DESCRIBE_JOBS_PER_CALL: Final = 100
LIST_JOBS_PER_PAGE: Final = 1_000
LIST_JOBS_PER_PAGE_FILTERED: Final = 100
