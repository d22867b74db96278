"""Own the cluster's slots: how many are free, and who holds the others.

>>> slots.free(settings)
7
>>> slots.holders(settings)
['count_events (1) of the course']
"""

from __future__ import annotations

from kernel_lib import cluster, job_graph, services
from kernel_lib.errors import NoFreeSlots, WaitTimeout
from kernel_lib.owners import Owner
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

# A slot is free some moments after its job has ended, or has given it up.
RETURN_SECONDS = 10.0


def free(settings: Settings) -> int:
    """Return how many slots no job holds."""
    return int(cluster.get(settings, "/overview")["slots-available"])


def taken(settings: Settings, job_id: str) -> int:
    """Return how many slots a job takes: its widest task, because tasks share slots."""
    return job_graph.of(cluster.get(settings, f"/jobs/{job_id}")).slots


def holders(settings: Settings) -> list[str]:
    """Return each live job, of any namespace, with its slots and its owner, in words."""
    return [_holder(settings, entry["jid"], entry["name"]) for entry in cluster.jobs(settings, live=True)]


def wait_free(settings: Settings, who: str, needed: int, *, ended: bool = False) -> None:
    """Return when so many slots are free for somebody; waits while some are on their way back, as after a rescale.

    `who` begins the error. `ended`: a job was just ended for this one. Raises NoFreeSlots, naming who holds the slots.
    """
    budget = RETURN_SECONDS if ended or _returning(settings) else 0
    try:
        wait_until(lambda: free(settings) >= needed, budget, f"{needed} free slots")
    except WaitTimeout as error:
        raise refusal(settings, who, needed) from error


def _returning(settings: Settings) -> bool:
    """Say whether there are slots that no task of a live job takes, and that are not free yet."""
    overview = cluster.get(settings, "/overview")
    held = sum(taken(settings, entry["jid"]) for entry in cluster.jobs(settings, live=True))
    return bool(overview["slots-total"] - overview["slots-available"] > held)


def refusal(settings: Settings, who: str, needed: int) -> NoFreeSlots:
    """Return the error for somebody who needs more free slots than there are: who holds them, and what is down."""
    overview = cluster.get(settings, "/overview")
    available, total = overview["slots-available"], overview["slots-total"]
    holding, down = holders(settings), _down(settings)
    causes = [f"{each} is down" for each in down]
    if holding:
        causes.append(f"slots are held by {', '.join(holding)}")
    elif not total:
        causes.append("no TaskManager has registered")
    remedies = ["jobs.find(name).cancel() for one that you no longer need" if holding else cluster.REMEDY]
    return NoFreeSlots(
        f"{who} needs {needed} free slot{'' if needed == 1 else 's'}; the cluster has {available} of {total}.",
        cause="; ".join(causes),
        remedy="; or ".join([*(f'services.start("{each}")' for each in down), *remedies]),
    )


def _down(settings: Settings) -> list[str]:
    """Return the TaskManagers that should run and do not; none where the course runs no services."""
    if not settings.course_services:
        return []
    return [
        each.name
        for each in services.statuses(settings=settings)
        if each.name.startswith("flink-taskmanager") and each.in_trouble
    ]


def _holder(settings: Settings, job_id: str, name: str) -> str:
    owner = Owner.from_parameters(cluster.parameters(settings, job_id))
    return f"{name} ({taken(settings, job_id)}) of {owner or 'somebody else'}"
