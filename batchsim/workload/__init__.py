"""What is submitted, when, and what really happens to it: integer columns, one row a job.

scenario ──► arrivals, classes, runtimes ──► one part for each entry ──► columns in order of submission
             (generated.py)    traces (replayed.py)                       (build.py)
                                                                          │
                     submit rate (pacing.py), dependencies (edges.py), events (events.py)

service jobs ──► columns of their own (services.py)
"""

from __future__ import annotations

from batchsim.workload.build import build_workload
from batchsim.workload.edges import Edges
from batchsim.workload.events import Event, JobsEvent, ResourceEvent, UpdateOf
from batchsim.workload.ragged import Ragged
from batchsim.workload.services import ServiceClass, ServiceWorkload, build_services
from batchsim.workload.table import Arrays, ExitRule, JobClass, NodeGroup, Nodes, Workload

__all__ = [
    "Arrays",
    "Edges",
    "Event",
    "ExitRule",
    "JobClass",
    "JobsEvent",
    "NodeGroup",
    "Nodes",
    "Ragged",
    "ResourceEvent",
    "ServiceClass",
    "ServiceWorkload",
    "UpdateOf",
    "Workload",
    "build_services",
    "build_workload",
]
