"""Simulate how writing scales with the number of workers: to 1000 workers and 10 TB.

A discrete model of what `hdmf_zarr.write.parallel` does. The parent hands tasks out one after the other,
each of which takes it some time; where it reads the data itself, they go through it. A worker reads,
encodes and stores the write units of its task. The store takes so many bytes a second from each
worker, and so many in all. Where nothing is said, times and rates are those measured with
``--measure``, which hands real tasks that do nothing to a process, or typical of an S3 bucket.

Usage: python benchmarks/simulate_cluster.py [--measure] [--terabytes 10]
"""

from __future__ import annotations

import argparse
import heapq
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

MB, TB = 1e6, 1e12


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What the model knows.

    Attributes
    ----------
    workers : int
    n_bytes : float
        Of all elements.
    task_bytes : float
        Of the elements of a task: a whole number of write units.
    task_seconds : float
        Of the parent for each task: to cut, hand out, and take note of its end.
    encode_rate : float
        Bytes a second that one worker reads and encodes.
    compression : float
        Bytes of elements for each byte that is stored.
    worker_rate, store_rate : float
        Bytes a second that the store takes from one worker, and from all.
    latency : float
        Seconds of one operation of the store.
    unit_bytes : float
        Of the elements of a write unit; each is one operation of the store.
    parent_rate : float or None
        Bytes a second that the parent reads and sends; None where workers read.
    ahead : int
        Tasks for each worker that are handed out ahead.
    """

    workers: int
    n_bytes: float = 10 * TB
    task_bytes: float = 1000 * MB
    unit_bytes: float = 64 * MB
    task_seconds: float = 0.002
    encode_rate: float = 150 * MB
    compression: float = 2.0
    worker_rate: float = 80 * MB
    store_rate: float = 40_000 * MB
    latency: float = 0.05
    parent_rate: float | None = None
    ahead: int = 4


@dataclass(frozen=True)
class Result:
    """What a simulation found: seconds in all, and how much of them each part was busy."""

    seconds: float
    parent: float
    workers: float
    store: float

    @property
    def limit(self) -> str:
        """What is busy all the time."""
        busy = {"parent": self.parent, "workers": self.workers, "store": self.store}
        return max(busy, key=busy.__getitem__)


def simulate(cluster: Cluster) -> Result:
    """Hand out every task, in the order in which workers are free."""
    n_tasks = max(1, round(cluster.n_bytes / cluster.task_bytes))
    parent_seconds = cluster.task_seconds
    if cluster.parent_rate is not None:
        parent_seconds += cluster.task_bytes / cluster.parent_rate
    stored = cluster.task_bytes / cluster.compression
    n_units = max(1, round(cluster.task_bytes / cluster.unit_bytes))
    work = cluster.task_bytes / cluster.encode_rate
    sending = stored / cluster.worker_rate + n_units * cluster.latency
    free = [0.0] * cluster.workers  # when each worker is free
    ends: list[float] = []  # when the tasks that are out end, at most `ahead` a worker
    now = store_free = busy = 0.0
    for _ in range(n_tasks):
        if len(ends) >= cluster.ahead * cluster.workers:
            now = max(now, heapq.heappop(ends))
        now += parent_seconds
        begin = max(now, heapq.heappop(free))
        # Of the store as a whole each task gets its part after those before it.
        store_free = max(store_free, begin + work) + stored / cluster.store_rate
        end = max(begin + work + sending, store_free)
        busy += end - begin
        heapq.heappush(free, end)
        heapq.heappush(ends, end)
    total = max(free)
    return Result(
        total,
        n_tasks * parent_seconds / total,
        busy / (total * cluster.workers),
        n_tasks * stored / cluster.store_rate / total,
    )


def measure(n_tasks: int = 3000) -> float:
    """Return the seconds that a parent needs for a task that does nothing, with processes."""
    import numpy as np

    from hdmf_zarr.core.dtypes import element_type_from_numpy
    from hdmf_zarr.core.regions import cut
    from hdmf_zarr.stores.location import Location
    from hdmf_zarr.write.parallel.arrays import tasks_of
    from hdmf_zarr.write.parallel.feed import Feed
    from hdmf_zarr.write.parallel.options import WorkerOptions
    from hdmf_zarr.write.parallel.tasks import ArrayTarget
    from hdmf_zarr.write.parallel.workers import Source, Workers

    class Idle(ProcessPoolExecutor):
        def submit(self, _function, *arguments):
            return super().submit(_written, *arguments)

    shape, unit = (n_tasks * 32_768, 64), (32_768, 64)
    target = ArrayTarget(
        key="k",
        where="w",
        location=Location("/nowhere", is_local=True),
        path="a",
        document={"shape": list(shape), "codecs": [{"name": "bytes"}] * 3},
        element=element_type_from_numpy(np.dtype("int16")),
    )
    with Idle(1) as executor:
        workers = Workers(WorkerOptions(executor=executor, number_of_jobs=64))
        executor.submit(None, None).result()
        started, busy = time.perf_counter(), time.process_time()
        cuts = cut([tuple(slice(0, n) for n in shape)], shape, unit, shape, n_tasks)
        feed = Feed(name="a", tasks=tasks_of(cuts, target, Source(None, b"x" * 2000, 1), workers))
        workers.run([feed])
        seconds = time.perf_counter() - started
        print(
            f"processor time of the parent: {(time.process_time() - busy) / seconds:.0%} of the time"
        )
    return seconds / n_tasks


def _written(_task):
    from hdmf_zarr.write.parallel.tasks import Written

    return Written(1)


def row(cluster: Cluster, alone: float) -> str:
    """A row of the table."""
    result = simulate(cluster)
    speed = alone / result.seconds
    return (
        f"| {cluster.workers} | {speed:.0f} | {speed / cluster.workers:.0%} | {result.parent:.0%} "
        f"| {result.store:.0%} | {result.limit} |"
    )


def table(title: str, cluster: Cluster) -> None:
    """Print how a cluster scales."""
    alone = simulate(replace(cluster, workers=1)).seconds
    print(f"\n{title}\n")
    print("| workers | times as fast as one | of that many | parent busy | store busy | limit |")
    print("|---|---|---|---|---|---|")
    for workers in (1, 10, 100, 300, 1000):
        print(row(replace(cluster, workers=workers), alone))


def main() -> None:
    """Print the tables, and where the parent becomes the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--measure", action="store_true", help="measure the parent's time for a task"
    )
    parser.add_argument("--terabytes", type=float, default=10)
    options = parser.parse_args()
    base = Cluster(workers=1, n_bytes=options.terabytes * TB)
    if options.measure:
        measured = measure()
        print(f"the parent needs {measured * 1e3:.2f} ms for a task of processes of this machine")
    print(f"the model takes {base.task_seconds * 1e3:.1f} ms for a task")
    table("Workers read, tasks of 1 GB (the default buffer), units of 64 MB", base)
    small = replace(base, task_bytes=64 * MB)
    table("Workers read, tasks of one unit of 64 MB", small)
    tiny = replace(base, task_bytes=4 * MB, unit_bytes=4 * MB)
    table("Workers read, tasks of one unit of 4 MB", tiny)
    pushed = replace(base, parent_rate=500 * MB, task_bytes=64 * MB)
    table("The parent reads and sends (500 MB/s), tasks of one unit of 64 MB", pushed)
    print("\nThe parent is busy all the time from")
    for name, cluster in {
        "1 GB": base,
        "64 MB": small,
        "4 MB": tiny,
        "64 MB, read by it": pushed,
    }.items():
        own = cluster.task_seconds
        if cluster.parent_rate is not None:
            own += cluster.task_bytes / cluster.parent_rate
        one = replace(cluster, workers=1, n_bytes=20 * cluster.task_bytes, store_rate=1e18)
        task = simulate(one).seconds / 20
        print(f"* {task / own:,.0f} workers with tasks of {name}")


if __name__ == "__main__":
    main()
