"""Threads: bounded pools, what is in flight, and one way of cancelling. A leaf: it knows nothing of COS.

`Pool` runs calls on a bounded number of threads, and its `Buffers` are memory that they reuse. `TaskGroup` waits for
and cancels those that belong together, `Window` bounds what is in flight and halves on throttling, `Pace` adapts the
number of threads for small calls, `cancellation` ends what threads do after Ctrl-C, and `background` cleans up after
lost objects. When the interpreter refuses new threads, as at the end of a process, work runs in the caller.

`concurrent.futures`, `queue.Queue`, events and conditions take locks in methods written in Python: an exception that a
signal raises between two steps of such a method leaves the lock held, and every other thread waits for ever. Code that
Ctrl-C can interrupt therefore uses only single steps of the interpreter here: ``with`` on a lock, `queue.SimpleQueue`,
and single operations of dicts, sets and lists.
"""

from cosv4fs.concurrency.buffers import Buffers
from cosv4fs.concurrency.pool import Pool, TaskGroup
from cosv4fs.concurrency.tasks import Task
from cosv4fs.concurrency.window import Permit, Window

__all__ = ["Buffers", "Permit", "Pool", "Task", "TaskGroup", "Window"]
