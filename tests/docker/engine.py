"""A Docker engine for tests, and an image made of nothing but busybox, since no registry is asked."""

from __future__ import annotations

import gc
import io
import os
import shutil
import subprocess
import tarfile
import warnings
from pathlib import Path

import docker
import pytest

from batchsim.studies.replay import default_host

IMAGE = "batchsim-test-busybox:1"
REQUIRED = os.environ.get("BATCHSIM_REQUIRE_DOCKER") == "1"


def _absent(why: str) -> None:
    if REQUIRED:
        pytest.fail(f"BATCHSIM_REQUIRE_DOCKER=1, but {why}", pytrace=False)
    pytest.skip(why)


def _why_not() -> str:
    """Why no engine can be used; "" if one answers."""
    try:
        docker.APIClient(base_url=default_host(), version="auto").close()
    except Exception as error:  # noqa: BLE001 - whatever the reason, there is no engine
        return f"no Docker engine answers: {error}"
    return ""


def client() -> docker.APIClient:
    """An engine that answers; otherwise the test is skipped, or fails where one is required."""
    if why := _why_not():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # docker-py has left its socket open
            gc.collect()
        _absent(why)
    return docker.APIClient(base_url=default_host(), version="auto")


def make_image(api: docker.APIClient) -> None:
    if api.images(IMAGE):
        return
    busybox = shutil.which("busybox")
    if busybox is None:
        _absent("there is no busybox; install busybox-static")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        tar.add(Path(busybox).resolve(), "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    name, _, tag = IMAGE.partition(":")
    api.import_image_from_data(content.getvalue(), repository=name, tag=tag)
