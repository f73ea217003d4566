import sys
import time
from multiprocessing import get_context


def trivial(x):
    return x + 1


workers, items = map(int, sys.argv[1:])
with get_context("fork").Pool(workers) as pool:
    pool.map(trivial, range(2 * workers), 1)
    times = []
    for chunk_size in (None, 1_000, 10_000, 50_000):
        start = time.perf_counter()
        results = pool.map(trivial, range(items), chunk_size)
        times.append(time.perf_counter() - start)
        assert results[-1] == items
print(min(times))
