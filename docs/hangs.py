"""What hangs in Python's multiprocessing: each case of docs/from-python.md, run here with a limit.

    python3 docs/hangs.py [CASE...]

prints for each case whether it ended (and how) or still hung after 5 seconds. Standard library only, Linux.
"""

import multiprocessing as mp
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor

LIMIT_S = 5
CASES = []


def case(function):
    CASES.append(function)
    return function


def die(_=None):
    os.kill(os.getpid(), signal.SIGKILL)


def die_on_three(n):
    return die() if n == 3 else n


def kill_when(process, is_time):
    """Kills a process once it has had time to get where `is_time` says, and a little more."""
    while not is_time():
        time.sleep(0.01)
    time.sleep(0.3)
    process.kill()
    process.join()


def start(function, *args):
    process = mp.Process(target=function, args=args, daemon=True)
    process.start()
    return process


@case
def pool_worker_killed():
    """A worker of a Pool is killed in a task of map."""
    print(mp.Pool(2).map(die_on_three, range(8)))


@case
def pool_task_exits():
    """A task of a Pool calls sys.exit."""
    print(mp.Pool(2).apply(sys.exit, (1,)))


@case
def pool_initializer_fails():
    """The initializer of a Pool raises."""
    print(mp.Pool(2, initializer=int, initargs=("no number",)).map(abs, range(8)))


@case
def pool_callback_raises():
    """The callback of apply_async raises."""
    print(mp.Pool(2).apply_async(abs, (-1,), callback=lambda _: 1 / 0).get())


class Picky(Exception):
    def __init__(self, first, second):
        super().__init__("one argument only")


def raise_picky():
    raise Picky(1, 2)


@case
def pool_exception_not_unpicklable():
    """A task raises an exception that can be pickled, but not unpickled."""
    print(mp.Pool(2).apply(raise_picky))


def make_lambda():
    return lambda: 1


@case
def pool_result_unpicklable():
    """The result of a task cannot be pickled."""
    print(mp.Pool(2).apply(make_lambda))


@case
def queue_item_unpicklable():
    """An item of a Queue cannot be pickled: the consumer waits for it."""
    queue = mp.Queue()
    queue.put(lambda: 1)
    print(queue.get())


def take_and_die(lock, taken):
    lock.acquire()
    taken.value = 1
    die()


@case
def lock_holder_killed():
    """A process is killed while it holds a Lock."""
    lock, taken = mp.Lock(), mp.RawValue("i")
    start(take_and_die, lock, taken).join()
    print(taken.value, lock.acquire())


@case
def semaphore_holder_killed():
    """A process is killed while it holds the only permit of a Semaphore."""
    semaphore, taken = mp.Semaphore(1), mp.RawValue("i")
    start(take_and_die, semaphore, taken).join()
    print(taken.value, semaphore.acquire())


@case
def value_lock_holder_killed():
    """A process is killed while it holds a Value's lock."""
    value, taken = mp.Value("i"), mp.RawValue("i")
    start(take_and_die, value.get_lock(), taken).join()
    print(taken.value, value.value)


@case
def manager_lock_holder_killed():
    """A process is killed while it holds a Manager's lock."""
    manager = mp.Manager()
    lock, taken = manager.Lock(), mp.RawValue("i")
    start(take_and_die, lock, taken).join()
    print(taken.value, lock.acquire())


def get_forever(queue, at):
    at.value = 1
    queue.get()


@case
def queue_consumer_killed():
    """A process is killed while it waits in Queue.get; another puts and gets an item."""
    queue, at = mp.Queue(), mp.RawValue("i")
    kill_when(start(get_forever, queue, at), lambda: at.value)
    queue.put(1)
    print(queue.get())


@case
def simple_queue_consumer_killed():
    """The same with a SimpleQueue."""
    queue, at = mp.SimpleQueue(), mp.RawValue("i")
    kill_when(start(get_forever, queue, at), lambda: at.value)
    queue.put(1)
    print(queue.get())


def put_large(queue, at):
    queue.put(bytes(50_000_000))
    at.value = 1
    time.sleep(60)


@case
def queue_producer_killed():
    """A process is killed while its feeder thread writes a large item; another process puts one, and it is waited for."""
    queue, at = mp.Queue(), mp.RawValue("i")
    kill_when(start(put_large, queue, at), lambda: at.value)
    queue.put(1)
    print(queue.get())


@case
def joinable_consumer_killed():
    """A process is killed between JoinableQueue.get and task_done; another joins the queue."""
    queue = mp.JoinableQueue()
    queue.put(1)
    start(get_and_die, queue).join()
    queue.join()
    print("joined")


def get_and_die(queue):
    queue.get()
    die()


def put_and_end(queue):
    queue.put(bytes(1_000_000))


@case
def join_before_get():
    """A process that has put a large item is joined before the item is got."""
    queue = mp.Queue()
    start(put_and_end, queue).join()
    print(len(queue.get()))


def wait_forever(event, at):
    at.value = 1
    event.wait()


@case
def event_waiter_killed():
    """A process is killed while it waits for an Event; another sets it."""
    event, at = mp.Event(), mp.RawValue("i")
    kill_when(start(wait_forever, event, at), lambda: at.value)
    event.set()
    print("set")


@case
def barrier_waiter_killed():
    """One of three is killed while it waits at a Barrier; another comes in its place, and all three places are taken."""
    barrier, at = mp.Barrier(3), mp.RawValue("i")
    kill_when(start(wait_forever, barrier, at), lambda: at.value)
    start(wait_forever, barrier, at)
    print(barrier.wait())


def send_and_die(end):
    end.send(1)
    die()


@case
def pipe_writer_killed():
    """The only writer of a Pipe is killed; its end was left open in the program, as fork leaves it."""
    ours, theirs = mp.Pipe()
    start(send_and_die, theirs).join()
    print(ours.recv(), ours.recv())


def take_lock(lock):
    with lock:
        pass


@case
def fork_with_threads():
    """A process is forked while another thread holds a lock that the child needs (as one of malloc or of logging)."""
    lock = threading.Lock()
    is_held, let_go = threading.Event(), threading.Event()

    def hold():
        with lock:
            is_held.set()
            let_go.wait()

    threading.Thread(target=hold, daemon=True).start()
    is_held.wait()
    process = mp.get_context("fork").Process(target=take_lock, args=(lock,), daemon=True)
    process.start()
    let_go.set()
    process.join()
    print("joined")


def nothing(_):
    return 0


@case
def executor_worker_killed():
    """A worker of a ProcessPoolExecutor is killed: one task of eight; then another task."""
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(die_on_three, n) for n in range(8)]
        print([type(f.exception()).__name__ for f in futures])
        print(executor.submit(abs, -1).result())


@case
def executor_task_hangs():
    """A task of a ProcessPoolExecutor never ends; result(timeout=1) has given up on it, and it was cancelled."""
    with ProcessPoolExecutor(1) as executor:
        future = executor.submit(time.sleep, 1000)
        try:
            future.result(timeout=1)
        except TimeoutError:
            print("timed out; cancelled:", future.cancel())


def pool_and_sleep():
    pool = mp.Pool(2)
    print(*(worker.pid for worker in pool._pool), flush=True)
    pool.apply(time.sleep, (60,))


@case
def orphans():
    """The program is killed by SIGKILL: are the workers of its Pool gone 2 s later?"""
    program = subprocess.Popen([sys.executable, __file__, "--case", "pool_and_sleep"], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in program.stdout.readline().split()]
    time.sleep(0.5)
    program.kill()
    program.wait()
    time.sleep(2)
    alive = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    print(f"{len(alive)} of {len(pids)} workers live on")
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


@case
def spawn_without_main_guard():
    """A program without `if __name__ == "__main__"` makes a Pool with the start method spawn."""
    script = "import multiprocessing as m\nm.set_start_method('spawn')\nprint(m.Pool(2).map(abs, [1]))\n"
    path = f"/tmp/no-guard-{os.getpid()}.py"
    with open(path, "w") as file:
        file.write(script)
    try:
        subprocess.run([sys.executable, path], stderr=subprocess.DEVNULL, check=True)
    finally:
        os.unlink(path)


def run(name):
    """Runs a case in a session of its own, so that nothing of it stays."""
    command = [sys.executable, __file__, "--case", name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
        how = f"ends: {output.strip().splitlines()[-1] if output.strip() else process.returncode}"
    except subprocess.TimeoutExpired:
        how = "HANGS"
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.stdout.close()
    process.wait()
    print(f"{name:32} {how}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        globals()[sys.argv[2]]()
    else:
        print(f"Python {sys.version.split()[0]}, start method {mp.get_start_method()}")
        for name in (function.__name__ for function in CASES):
            if not sys.argv[1:] or name in sys.argv[1:]:
                run(name)
