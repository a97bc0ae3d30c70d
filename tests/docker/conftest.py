"""Every test here leaves the engine as it found it: no container and no network with our labels."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest

from batchsim.drivers.gateway import RUN
from tests.docker.engine import client, make_image


@pytest.fixture(autouse=True)
def alone():
    """One test at a time on this host, whoever runs it: there is one engine, and tests look at all it has."""
    with (Path(tempfile.gettempdir()) / "batchsim-docker-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def api():
    found = client()
    make_image(found)
    return found


def labelled(api) -> list[str]:
    """Names of our containers and networks."""
    containers = api.containers(all=True, filters={"label": [RUN]})
    networks = api.networks(filters={"label": [RUN]})
    return sorted([each["Names"][0].lstrip("/") for each in containers] + [each["Name"] for each in networks])


@pytest.fixture
def engine(alone, api):
    """The engine; afterwards nothing of ours may be left."""
    yield api
    left = labelled(api)
    for each in api.containers(all=True, filters={"label": [RUN]}):
        api.remove_container(each["Id"], force=True)
    for each in api.networks(filters={"label": [RUN]}):
        api.remove_network(each["Id"])
    assert left == []
