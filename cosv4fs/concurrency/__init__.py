"""Threads: bounded pools, what is in flight, and one way of cancelling. A leaf: it knows nothing of COS.

`Pool` runs calls on a bounded number of threads, and its `Buffers` are memory that they reuse. `TaskGroup` waits for
and cancels those that belong together, `limits` bound what is in flight and adapt the number of threads, `cancellation`
ends what threads do after Ctrl-C, and `background` cleans up after lost objects. When the interpreter refuses new
threads, as at the end of a process, work runs in the caller.

`concurrent.futures`, `queue.Queue`, events and conditions take locks in methods written in Python: an exception that a
signal raises between two steps of such a method leaves the lock held, and every other thread waits for ever. Code that
Ctrl-C can interrupt therefore uses only single steps of the interpreter here: ``with`` on a lock, `queue.SimpleQueue`,
and single operations of dicts, sets and lists. A handler of another signal may use a filesystem while its own thread
holds one of these locks: they are reentrant, and what they protect is at most a little off then.
"""

from cosv4fs.concurrency.buffers import Buffers
from cosv4fs.concurrency.pool import Pool, TaskGroup
from cosv4fs.concurrency.tasks import Task

__all__ = ["Buffers", "Pool", "Task", "TaskGroup"]
