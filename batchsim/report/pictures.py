"""Pictures as files."""

from __future__ import annotations

import io
from typing import Any


def as_bytes(figure: Any, form: str) -> bytes:
    """The picture as "png" or "svg"; equal pictures give equal bytes."""
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import

    buffer = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "batchsim", "svg.fonttype": "none"}):
        figure.savefig(buffer, format=form, dpi=150, metadata=metadata)
    return buffer.getvalue()
