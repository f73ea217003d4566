import statistics
import sys
import time
from multiprocessing import get_context


def zeros(n):
    return bytes(n)


def ones(n):
    return b"\1" * n


what, size, more = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with get_context("fork").Pool(1) as pool:
    pool.map(abs, range(2), 1)
    function, argument = {"argument": (len, ones(size)), "zeros": (zeros, size), "ones": (ones, size)}[what]
    times = []
    for _ in range(1 + more):
        start = time.perf_counter()
        result = pool.apply(function, (argument,))
        times.append(time.perf_counter() - start)
        assert size == (result if what == "argument" else len(result))
        del result
print(times[0], statistics.median(times[1:]))
