"""Runs what a model wrote, so that it can harm nothing.

form.py         what is run, and what came of it
run.py          `run_program`: the way in
backend.py      what can confine on this machine: tried with a program that tells what it can still do
languages.py    what runs Python, JavaScript and SQL, and what of this machine they may read
launch.py       one run: its folder, its supervisor, its end
task.py         what supervisor and confined side are told, as JSON
bubblewrap.py   the command line of bubblewrap
landlock.py     Landlock's rules
seccomp.py      the system calls that are denied
verdict.py      the outcome, from what the supervisor saw

Three files are programs of their own, which import nothing of ours:

supervise.py    outside: starts the rest, watches memory, time and disk, leaves no process behind
confine.py      inside: gives up all rights, then becomes the program
sql.py          inside: runs a script of SQL

The processes of a run, each started by the one before:

    we -> supervise -> bubblewrap (if that is the backend) -> confine, which becomes the program -> what it starts

| what it may not | bubblewrap | Landlock |
|---|---|---|
| see files, write outside | only what is bound is there | only what the rules name can be opened |
| reach a network, a service's socket | network namespace, seccomp | seccomp; newer Landlocks too |
| signal or look into other processes | process namespace, seccomp | Landlock, or seccomp before version 6; seccomp |
| be root | run by root, it is another, unused user each time | the same |
| fill the disk | a file system of limited size in memory | its folder is measured; files without a name too |
| take too much memory | RLIMIT_DATA for each process, all together measured | the same |
| fork without end | RLIMIT_NPROC of a user or namespace of its own | the same; or beside the user's own |
| stay behind | its process namespace ends | the supervisor adopts and kills every orphan |

Memory is measured every 10 ms and not limited by a cgroup: that needs rights that containers and users seldom have,
and the supervisor must hold without.
"""

from suture.bench.sandbox.form import Execution, Language, Limits, Outcome, Program
from suture.bench.sandbox.run import run_program

__all__ = ["Execution", "Language", "Limits", "Outcome", "Program", "run_program"]
