import sys
import time
from multiprocessing import Manager

if __name__ == "__main__":
    calls = int(sys.argv[1])
    with Manager() as manager:
        shared = manager.dict({"key": 1})
        shared["key"]
        times = []
        for _ in range(calls):
            start = time.perf_counter()
            shared["key"]
            times.append(time.perf_counter() - start)
        print(sorted(times)[calls // 2])
