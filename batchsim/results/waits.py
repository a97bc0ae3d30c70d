"""What the heads of job queues waited for, as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from batchsim.results.arrays import assemble, category, seconds
from batchsim.results.recorded import view

if TYPE_CHECKING:
    import pandas as pd

    from batchsim.results.context import RunContext
    from batchsim.results.recording import Recorder

_NOTHING = 0  # no head is blocked


def waits_frame(recorder: Recorder, context: RunContext) -> pd.DataFrame | None:
    """One row a change, in order of time; None if no head was ever blocked."""
    if not recorder.w_at_us:
        return None
    reason = view(recorder.w_reason).astype(np.int64)
    detail = np.frombuffer(recorder.w_detail, dtype=np.intc).astype(np.int64)
    words: list[str] = []
    codes = np.full(len(reason), -1)
    for number, texts in context.wait_details.items():
        mine = (reason == number) & (detail >= 0)
        codes[mine] = detail[mine] + len(words)
        words += texts
    return assemble(
        "waits",
        {
            "t_s": seconds(view(recorder.w_at_us)),
            "queue": category(np.frombuffer(recorder.w_queue, dtype=np.intc), context.queues),
            "reason": category(np.where(reason == _NOTHING, -1, reason), context.wait_reasons),
            "detail": category(codes, words),
        },
    )
