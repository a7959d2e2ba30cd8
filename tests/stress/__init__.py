"""Threads, forks, garbage collection and interrupts at random moments: nothing may hang.

Every scenario runs in processes of its own, one after another, against a service in this one. A process that makes no
progress for a while shows the stacks of its threads and ends itself: that is counted as a hang.
"""
