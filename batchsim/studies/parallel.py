"""Independent pieces of work on all cores."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, TypeVar

from batchsim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def do_all(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    *,
    workers: int | None = None,
    done: Callable[[int], None] | None = None,
) -> list[T]:
    """`function` of each of the arguments, in their order, whatever order they are done in.

    workers   processes; None: one a core; with 1, or one piece of work, all is done in this process
    done      told now and then how many are done

    What one of them raises is raised here, and the others are stopped. Raises UsageError when a process is
    killed. The processes start afresh instead of as copies of this one, whose threads and locks a copy would
    inherit.
    """
    from loky import cpu_count  # type: ignore[import-untyped] # noqa: PLC0415 - only who asks pays for it

    wanted = min(cpu_count() if workers is None else workers, len(arguments))
    if wanted > 1:
        return _in_processes(function, arguments, wanted, done)
    results = []
    for each in arguments:
        results.append(function(*each))
        if done is not None:
            done(len(results))
    return results


def _in_processes(
    function: Callable[..., T],
    arguments: Sequence[tuple[Any, ...]],
    workers: int,
    done: Callable[[int], None] | None,
) -> list[T]:
    from loky import ProcessPoolExecutor, as_completed  # noqa: PLC0415 - only who asks pays for it

    executor = ProcessPoolExecutor(max_workers=workers)
    try:
        futures = [executor.submit(function, *each) for each in arguments]
        for number, future in enumerate(as_completed(futures), 1):
            future.result()
            if done is not None:
                done(number)
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise UsageError(
            "a process was killed, as happens when memory runs out", hint="use fewer workers, or one"
        ) from None
    except BaseException:
        executor.shutdown(wait=True, kill_workers=True)
        raise
    finally:
        executor.shutdown(wait=True)
