"""What drives a real run: the wall clock, threads for calls that block, and the watchers of engines."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from batchsim.core.grid import NEVER
from batchsim.drivers.gateway import DEADLINE, RUN, GatewayLostError
from batchsim.drivers.reports import Inbox, Report, What

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchsim.drivers.containers import Containers
    from batchsim.drivers.gateway import Clock, ContainerGateway

T = TypeVar("T")

RECONCILE_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_LONGEST_WAIT_S: Final = 3600.0
_THREADS: Final = 8
_NS_PER_US: Final = 1000


class WallClock:
    """Time since it was made, `speed` times as fast. It never goes back."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._began_ns = time.monotonic_ns()

    def now_us(self) -> int:
        return self._since(time.monotonic_ns())

    def of_engine(self, at_ns: int) -> int:
        """The engine is taken to have this host's clock."""
        return self._since(at_ns - time.time_ns() + time.monotonic_ns())

    def wait(self, inbox: Inbox, until_us: int) -> None:
        seconds = (until_us - self.now_us()) / self.speed / 1e6 if until_us < NEVER else _LONGEST_WAIT_S
        if seconds > 0:
            inbox.wait(min(seconds, _LONGEST_WAIT_S))

    def _since(self, ns: int) -> int:
        return int((ns - self._began_ns) * self.speed) // _NS_PER_US


class ThreadPool:
    """Makes calls in a few threads. An exception that nobody expects ends the run: it is posted as BROKEN."""

    def __init__(self, inbox: Inbox, clock: Clock, threads: int = _THREADS) -> None:
        self._inbox = inbox
        self._clock = clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="engine")

    def run(self, step: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        def work() -> None:
            try:
                try:
                    answer: T | Exception = step()
                except Exception as error:  # noqa: BLE001 - `then` knows which it expects
                    answer = error
                then(answer)
            except Exception as error:  # noqa: BLE001 - told to the loop, which raises it
                self._inbox.post(Report(self._clock.now_us(), What.BROKEN, error=error))

        self._threads.submit(work)

    def close(self, *, wait: bool) -> None:
        """Make no further calls; `wait` for those that are under way."""
        self._threads.shutdown(wait=wait, cancel_futures=True)


class Watcher:
    """Watches one engine: a thread on its event stream, another that compares lists now and then.

    An engine that is away is asked again after 0.2 s, then twice as long each time, up to 5 s. When it is
    back, the list tells what the stream has missed. If it stays away for `patience_s`, it is reported lost.
    """

    def __init__(
        self, host: int, gateway: ContainerGateway, containers: Containers, run: str, patience_s: float = 60.0
    ) -> None:
        self._host = host
        self._gateway = gateway
        self._containers = containers
        self._run = run
        self._patience_s = patience_s
        self._seen_ns = time.time_ns()
        self._lost = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"{name}-{host}", daemon=True)
            for name, work in (("events", self._listen), ("reconcile", self._compare))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """To be called when the containers are closing."""
        self._gateway.close()
        for thread in self._threads:
            thread.join(timeout=1.0)  # a stream that does not end is left to its daemon thread

    def _listen(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._containers.closing.is_set():
            try:
                for notice in self._gateway.events({RUN: self._run}, self._seen_ns):
                    self._seen_ns = notice.at_ns
                    self._containers.engine_back(self._host)
                    pause = _FIRST_PAUSE_S
                    self._containers.notice(notice)
            except GatewayLostError:
                self._containers.engine_away(self._host)
                self._containers.closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _compare(self) -> None:
        away_since = None
        pause = RECONCILE_S
        while not self._containers.closing.wait(pause):
            try:
                self._containers.reconcile(self._host, self._run)
                self._containers.engine_back(self._host)
                self._kill_the_overdue()
                away_since, pause = None, RECONCILE_S
            except GatewayLostError:
                now = time.monotonic()
                pause = _FIRST_PAUSE_S if away_since is None else min(2 * pause, _LONGEST_PAUSE_S)
                away_since = now if away_since is None else away_since
                if now - away_since > self._patience_s:
                    self._containers.host_gone(self._host)
                    return

    def _kill_the_overdue(self) -> None:
        now = time.time()
        for state in self._gateway.list({RUN: self._run, DEADLINE: ""}):
            if not state.over and float(state.labels[DEADLINE]) < now:
                self._gateway.signal(state.id, "KILL")
