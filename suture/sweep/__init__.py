"""A sweep: one recipe, run with each combination of the values of some of its fields.

form.py     what is asked for: a recipe and a grid
read.py     reading that from a file and from the command line
points.py   grid -> recipes, one per point
plan.py     what all points together would do, and which of them are finished
compare.py  the finished points side by side, and which differences are more than noise
table.py    the same as the rows of a table
plot.py     the same as a picture
page.py     the same as a page of HTML
"""

from suture.sweep.compare import SweepData, SweepRow, compare_points
from suture.sweep.form import Axis, Sweep
from suture.sweep.page import SweepFiles, write_sweep
from suture.sweep.plan import PlannedPoint, SweepPlan, plan_sweep
from suture.sweep.points import Point, points_of
from suture.sweep.read import read_sweep
from suture.sweep.table import NOTE, table_rows

__all__ = [
    "NOTE",
    "Axis",
    "PlannedPoint",
    "Point",
    "Sweep",
    "SweepData",
    "SweepFiles",
    "SweepPlan",
    "SweepRow",
    "compare_points",
    "plan_sweep",
    "points_of",
    "read_sweep",
    "table_rows",
    "write_sweep",
]
