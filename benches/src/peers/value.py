import sys
import time
from multiprocessing import get_context


def count_up(value, ready, go, turns):
    ready.release()
    go.acquire()
    for _ in range(turns):
        with value.get_lock():
            value.value += 1


workers, turns = int(sys.argv[1]), int(sys.argv[2])
context = get_context("fork")
value = context.Value("q", 0)
ready, go = context.Semaphore(0), context.Semaphore(0)
processes = [context.Process(target=count_up, args=(value, ready, go, turns)) for _ in range(workers)]
for process in processes:
    process.start()
for _ in processes:
    ready.acquire()
start = time.perf_counter()
for _ in processes:
    go.release()
for process in processes:
    process.join()
print(time.perf_counter() - start)
assert value.value == workers * turns
