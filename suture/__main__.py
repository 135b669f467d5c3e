"""`python -m suture`: the same as `suture`."""

from suture.cli import main

main()
