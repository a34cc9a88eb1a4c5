"""Jobs of Slurm as runs, from `sacct` on this machine or from its output in a file."""
