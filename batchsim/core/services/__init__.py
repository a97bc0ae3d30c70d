"""The scheduler of service jobs: SageMaker Training through AWS Batch [spec 1.16, 2.5].

Service queues share nothing with compute environments: no instance is launched, none is placed on. So this
scheduler stands beside the other one, with the same kind of seam and under the same laws.

    driver: something happened   job_submitted, training_starting, training_started, attempt_exited,
                                 capacity_refused, job_cancelled, job_terminated
    driver: what now?            decide(now) -> commands
    driver: when to ask again    next_wakeup()

    scheduler.py   `ServiceScheduler`: events in, commands out; the jobs' columns
    plan.py        what it is told before a run
    states.py      the states of service jobs and the table of legal changes
    commands.py    the commands as tuples, and their words
    desks.py       one desk for each service environment: which of its waiting jobs are scheduled now
    quotadesk.py   the desk of an environment whose queue has quota shares
    quotas.py      what quota shares use, lend and borrow
    victims.py     whom a job may preempt
    line.py        the jobs that wait in one queue or quota share
    heads.py       since when a head is stuck; `jobStateTimeLimitActions`
    reasons.py     AWS's words for jobs that wait, can never run, or are preempted
    invariants.py  every law of the state, checked in full; the tests call it after every call

What AWS does not publish, and what is assumed here:

* Queues that share a service environment are served as those of compute environments are: in descending
  priority, each until its head finds no room [spec 2.2].
* A job that comes back (retried, preempted, refused for want of capacity) goes to the front of its line;
  several of them stand there by submission [spec 1.5]. In a quota share a higher priority comes first all
  the same.
* Jobs within their own share's limit come before those that borrow. Idle capacity goes to the share whose
  head became RUNNABLE first; while that waits for more of an instance type, nobody behind it borrows any.
* Only limits of shares can be lent: what the service environment has beyond the sum of them is nobody's.
* Capacity is taken back for jobs that stay within their own share's limit, not for those that would borrow.
* Victims: while the job needs more room, a job of the share that borrows most; of its jobs, that of the
  lowest priority, of these that which has held its instances for the shortest time, then that submitted
  last. In the job's own share, likewise by priority and time. Nobody is preempted whose instances are not
  needed, and nobody if the job would not get its room.
* While victims stop, the room they leave is kept for the job they were preempted for; it comes first.
"""
