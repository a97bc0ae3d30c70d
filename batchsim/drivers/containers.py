"""The containers of a run, between the driver's loop and the engines.

The loop asks and goes on; each request becomes calls of a gateway, made one after the other in a pool, and
what comes of them is reported in the inbox. Of every container that was launched exactly one report says
that it ended, unless it was discarded before; where it ran, one that says that it started comes first.

Whatever an engine says twice, too late or in the wrong order ends here. A call that was not answered is
made again, which is why each of them may be repeated without harm. A container that is not there any more
when its engine is back is reported as ended with its host.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeVar

from batchsim.drivers.attempts import FAILED_TO_START, Ending
from batchsim.drivers.gateway import (
    ATTEMPT,
    JOB,
    MAIN_ADDRESS,
    NODE,
    RUN,
    ContainerSpec,
    GatewayLostError,
    Key,
    StartFailedError,
)
from batchsim.drivers.reports import Inbox, Report, What
from batchsim.drivers.world import SIGKILL_EXIT
from batchsim.results.recording import instance_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batchsim.drivers.gateway import Clock, ContainerGateway, ContainerState, Notice

ENGINE_LOST: Final = "Host EC2 instance {} lost its container engine."  # matches Host EC2*, as AWS's own
OUT_OF_MEMORY: Final = "OutOfMemoryError: Container killed due to memory usage"  # [spec 1.6]

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_LOOK_S: Final = 0.1
_NS_PER_US: Final = 1000
_SLACK_NS: Final = 5 * 10**9  # an engine that comes back ends what it finds for some time
_WITH_ITS_ENGINE: Final = (137, 143, 255)  # exit codes of containers that an engine has ended, or lost

T = TypeVar("T")


class Timing(NamedTuple):
    """How long an engine took: to pull, create or start a container, or from SIGKILL to its end."""

    step: Literal["pull", "create", "start", "kill"]
    key: Key
    took_us: int


class Pool(Protocol):
    """Makes calls that block, somewhere else."""

    def run(self, step: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """Call `step`, then `then` with its result or with the exception it raised."""


@dataclass(slots=True, eq=False)
class _Cell:
    """What is known of one container; guarded by the lock of `Containers`."""

    spec: ContainerSpec
    id: str = ""
    beginning: bool = True  # calls are being made to start it
    started: bool = False  # was reported
    ended: bool = False  # was reported
    discarded: bool = False  # nobody wants to hear of it any more
    out_of_memory: bool = False
    signalled: bool = False  # somebody wanted it to end
    killed_ns: int = 0  # when SIGKILL was sent, of the engine's clock


class Containers:
    """All containers of one run."""

    def __init__(
        self,
        gateways: Sequence[ContainerGateway],
        pool: Pool,
        clock: Clock,
        inbox: Inbox,
        patience_s: float = 60.0,
    ) -> None:
        """`patience_s` is how long a call that an engine does not answer is made again and again."""
        self._gateways = gateways
        self._pool = pool
        self._clock = clock
        self._inbox = inbox
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._cells: dict[Key, _Cell] = {}
        self._away: dict[int, tuple[int, int | None]] = {}  # host -> since when, until when
        self.timings: list[Timing] = []
        self.closing = threading.Event()
        self.hurry = threading.Event()  # nobody waits for SIGTERM to work any more

    # --- what the loop asks for ---------------------------------------------------------------

    def launch(self, spec: ContainerSpec, main: Key | None = None) -> None:
        """Begin a container. `main` is the main node of the job whose child node it is."""
        cell = _Cell(spec)
        with self._lock:
            self._cells[spec.key] = cell
        gateway = self._gateways[spec.host]

        def prepare() -> None:
            began = time.monotonic_ns()
            if gateway.ensure_image(cell.spec):
                self._timed("pull", cell, began)
            if spec.network is None:
                return
            if main is None:
                gateway.create_network(spec.network, spec.labels)
            else:
                address = gateway.address(self._cells[main].id, spec.network)
                cell.spec = replace(spec, environment={**spec.environment, MAIN_ADDRESS: address})

        self._call(prepare, lambda answer: self._prepared(cell, answer))

    def fetch(self, spec: ContainerSpec) -> None:
        """Pull the image, no more: the attempt was stopped while the order to begin it was on its way."""
        self._call(lambda: self._gateways[spec.host].ensure_image(spec), lambda _: None)

    def signal(self, key: Key, name: Literal["TERM", "KILL"]) -> None:
        """Send a signal to a container that has started; it ends or not."""
        cell = self._cells.get(key)
        if cell is not None and cell.id:
            gateway = self._gateways[cell.spec.host]
            cell.signalled = True
            if name == "KILL":
                cell.killed_ns = time.time_ns()
            self._call(lambda: gateway.signal(cell.id, name), lambda _: None)

    def cut_off(self, key: Key) -> None:
        """SIGTERM and SIGKILL at once; if it has started, its end is reported, otherwise nothing is."""
        with self._lock:
            cell = self._cells.get(key)
            if cell is None or cell.ended:
                return
            running = cell.started
        if running:
            self.signal(key, "TERM")
            self.signal(key, "KILL")
        else:
            self.discard(key)

    def discard(self, key: Key) -> None:
        """Get rid of a container, whatever it does; nothing is reported of it from now on."""
        with self._lock:
            cell = self._cells.get(key)
            if cell is None or cell.discarded:
                return
            cell.discarded = True
            idle = not cell.beginning
        if idle:
            self._remove(cell)

    def job_ended(self, main: Key) -> None:
        """The attempt of a multi-node job is over; nobody needs its network once its containers are gone."""
        cell = self._cells.get(main)
        if cell is not None and cell.spec.network is not None:
            gateway, name = self._gateways[cell.spec.host], cell.spec.network
            self._call(lambda: gateway.remove_network(name), lambda _: None)

    def close(self, grace_s: float) -> None:
        """Nothing is reported from now on; what is left runs for at most `grace_s` after SIGTERM. Blocks."""
        with self._lock:
            left = [cell for cell in self._cells.values() if not (cell.ended or cell.discarded)]
            for cell in left:
                cell.discarded = True
        self.closing.set()
        running = [cell for cell in left if cell.id and not cell.beginning]
        if grace_s > 0:
            self._stop_gently(running, grace_s)
        for cell in running:
            self._remove(cell)

    def _stop_gently(self, cells: Sequence[_Cell], grace_s: float) -> None:
        for cell in cells:
            self.signal(cell.spec.key, "TERM")
        until = time.monotonic() + grace_s
        waiting = list(cells)
        while waiting and time.monotonic() < until and not self.hurry.wait(_LOOK_S):
            try:
                waiting = [cell for cell in waiting if self._still_runs(cell)]
            except GatewayLostError:
                return

    def _still_runs(self, cell: _Cell) -> bool:
        state = self._gateways[cell.spec.host].inspect(cell.id)
        return state is not None and not state.over

    # --- what engines tell --------------------------------------------------------------------

    def notice(self, notice: Notice) -> None:
        """Something of the event stream."""
        cell = self._cells.get(key_of(notice.labels))
        if cell is None:
            return
        if notice.kind == "start":
            self._report_start(cell, self._clock.of_engine(notice.at_ns))
        elif notice.kind == "oom":
            cell.out_of_memory = True
        elif notice.exit_code in {None, *_WITH_ITS_ENGINE} or not cell.started:
            self._look_at(cell, notice.id)
        else:
            self._report_end(cell, Ending(notice.exit_code), self._clock.of_engine(notice.at_ns))
            self._remove(cell)

    def reconcile(self, host: int, run: str) -> None:
        """Compare what the engine has with what should be there; blocks. Raises GatewayLostError.

        Ends that the event stream did not tell are reported, and so are containers that have vanished.
        """
        with self._lock:
            expected = [
                cell
                for cell in self._cells.values()
                if cell.id and cell.spec.host == host and not (cell.beginning or cell.ended or cell.discarded)
            ]
        found = {state.id: state for state in self._gateways[host].list({RUN: run})}
        for cell in expected:
            state = found.get(cell.id)
            if state is None or state.over or not cell.started:
                self._look_at(cell, cell.id)

    def engine_away(self, host: int) -> None:
        """The engine does not answer; what ends until it does was not necessarily going to."""
        with self._lock:
            self._away.setdefault(host, (time.time_ns() - _SLACK_NS, None))
            since, until = self._away[host]
            if until is not None:
                self._away[host] = (since, None)

    def engine_back(self, host: int) -> None:
        """The engine answers again."""
        with self._lock:
            if host in self._away and self._away[host][1] is None:
                self._away[host] = (self._away[host][0], time.time_ns() + _SLACK_NS)

    def host_gone(self, host: int) -> None:
        """The engine has been away for too long."""
        now = self._clock.now_us()
        self._inbox.post(Report(now, What.HOST_LOST, happened_us=now, host=host))

    # --- the steps of a start -----------------------------------------------------------------

    def _prepared(self, cell: _Cell, answer: object) -> None:
        if not self._goes_on(cell, answer):
            return
        gateway = self._gateways[cell.spec.host]
        self._call(
            lambda: gateway.create(cell.spec), lambda made: self._created(cell, made), ("create", cell)
        )

    def _created(self, cell: _Cell, made: str | Exception) -> None:
        if isinstance(made, str):
            cell.id = made
        if not self._goes_on(cell, made):
            return
        gateway = self._gateways[cell.spec.host]
        self._call(lambda: gateway.start(cell.id), lambda answer: self._begun(cell, answer), ("start", cell))

    def _begun(self, cell: _Cell, answer: object) -> None:
        with self._lock:
            cell.beginning = False
            discarded = cell.discarded
        if discarded:
            self._remove(cell)
        elif isinstance(answer, Exception):
            self._did_not_start(cell, answer)
        else:
            self._report_start(cell, None)

    def _goes_on(self, cell: _Cell, answer: object) -> bool:
        """Whether the next step is to be made; if not, the start is over."""
        with self._lock:
            goes_on = not cell.discarded and not isinstance(answer, Exception)
            cell.beginning = goes_on
        if goes_on:
            return True
        if isinstance(answer, Exception):
            self._did_not_start(cell, answer)
        else:
            self._remove(cell)
        return False

    def _did_not_start(self, cell: _Cell, error: Exception) -> None:
        if isinstance(error, StartFailedError):
            self._report_end(cell, Ending(None, FAILED_TO_START, str(error)))
        elif isinstance(error, GatewayLostError):
            self._report_end(cell, self._host_lost(cell))
        else:
            raise error
        self._remove(cell)

    # --- the end ------------------------------------------------------------------------------

    def _look_at(self, cell: _Cell, container: str) -> None:
        """See how the container has died, or that it has vanished."""
        if cell.ended or cell.discarded:
            return
        gateway = self._gateways[cell.spec.host]
        self._call(lambda: gateway.inspect(container), lambda state: self._looked_at(cell, state))

    def _looked_at(self, cell: _Cell, state: ContainerState | Exception | None) -> None:
        if isinstance(state, Exception) and not isinstance(state, GatewayLostError):
            raise state
        if state is None or isinstance(state, Exception):
            self._report_end(cell, self._host_lost(cell))
        elif state.over:
            if state.started_ns:
                self._report_start(cell, self._clock.of_engine(state.started_ns))
                if cell.killed_ns and state.exit_code == SIGKILL_EXIT:
                    took_us = max(0, state.finished_ns - cell.killed_ns) // _NS_PER_US
                    self.timings.append(Timing("kill", cell.spec.key, took_us))
                self._report_end(cell, self._ending(cell, state), self._clock.of_engine(state.finished_ns))
            elif not cell.beginning:
                self._report_end(cell, Ending(None, FAILED_TO_START, state.error))
            else:
                return  # whoever starts it will be told why it failed
        else:
            if state.started_ns:
                self._report_start(cell, self._clock.of_engine(state.started_ns))
            return
        self._remove(cell)

    def _ending(self, cell: _Cell, state: ContainerState) -> Ending:
        if state.exit_code in _WITH_ITS_ENGINE and self._ended_with_engine(cell, state.finished_ns):
            return self._host_lost(cell)
        killed_for_memory = state.exit_code == SIGKILL_EXIT and (state.oom_killed or cell.out_of_memory)
        return Ending(state.exit_code, reason=OUT_OF_MEMORY if killed_for_memory else state.error)

    def _ended_with_engine(self, cell: _Cell, at_ns: int) -> bool:
        """Whether the engine was away or was just coming back, and nobody had asked for this end."""
        since, until = self._away.get(cell.spec.host, (None, None))
        return (
            not cell.signalled and since is not None and since <= at_ns and (until is None or at_ns <= until)
        )

    @staticmethod
    def _host_lost(cell: _Cell) -> Ending:
        return Ending(None, ENGINE_LOST.format(instance_id(cell.spec.instance)))

    def _remove(self, cell: _Cell) -> None:
        if cell.id:
            gateway = self._gateways[cell.spec.host]
            self._call(lambda: gateway.remove(cell.id), lambda _: None)

    def _timed(self, step: Literal["pull", "create", "start"], cell: _Cell, began_ns: int) -> None:
        took_us = (time.monotonic_ns() - began_ns) // _NS_PER_US
        self.timings.append(Timing(step, cell.spec.key, took_us))

    # --- reports ------------------------------------------------------------------------------

    def _report_start(self, cell: _Cell, happened_us: int | None) -> None:
        with self._lock:
            if cell.started or cell.ended or cell.discarded:
                return
            cell.started = True
            now = self._clock.now_us()
            happened_us = now if happened_us is None else min(happened_us, now)
            self._inbox.post(Report(now, What.STARTED, cell.spec.key, None, happened_us))

    def _report_end(self, cell: _Cell, ending: Ending, happened_us: int | None = None) -> None:
        with self._lock:
            if cell.ended or cell.discarded:
                return
            cell.ended = True
            now = self._clock.now_us()
            happened_us = now if happened_us is None else min(happened_us, now)
            self._inbox.post(Report(now, What.ENDED, cell.spec.key, ending, happened_us))

    def _call(
        self,
        step: Callable[[], T],
        then: Callable[[T | Exception], None],
        timed: tuple[Literal["create", "start"], _Cell] | None = None,
    ) -> None:
        self._pool.run(lambda: self._insist(step, timed), then)

    def _insist(self, step: Callable[[], T], timed: tuple[Literal["create", "start"], _Cell] | None) -> T:
        """Make a call again while the engine does not answer."""
        pause, waited = _FIRST_PAUSE_S, 0.0
        while True:
            began = time.monotonic_ns()
            try:
                answer = step()
            except GatewayLostError:
                if waited >= self._patience_s or self.closing.wait(pause):
                    raise
                waited += pause
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                if timed is not None:
                    self._timed(*timed, began)
                return answer


def key_of(labels: Mapping[str, str]) -> Key:
    """Which container of its run has these labels; one that none has if they are not ours."""
    try:
        return Key(int(labels[JOB]), int(labels[ATTEMPT]), int(labels[NODE]))
    except (KeyError, ValueError):
        return Key(-1, -1, -1)
