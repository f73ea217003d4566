import sys
import time
from multiprocessing import get_context


def produce(queue, ready, count):
    ready.put(None)
    for n in range(count):
        queue.put(n)


max_items, count = int(sys.argv[1]), int(sys.argv[2])
context = get_context("fork")
queue, ready = context.Queue(max_items), context.Queue()
process = context.Process(target=produce, args=(queue, ready, count))
process.start()
ready.get()
start = time.perf_counter()
total = sum(queue.get() for _ in range(count))
print(time.perf_counter() - start)
assert total == count * (count - 1) // 2
process.join()
