"""`spend-watchdog record`: one attempt of a workload becomes a run, without an import in its code.

The command is started first; everything else happens beside it.
"""
