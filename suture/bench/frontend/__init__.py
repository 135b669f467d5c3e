"""The frontend stress test: six pages a model writes, and 71 checks of what they are and do.

`examine` is the door: a task, the model's answer and a browser (or none) give the result of each check.
"""

from suture.bench.frontend.analytics import ANALYTICS
from suture.bench.frontend.browser import Browser, Limits, open_browser
from suture.bench.frontend.examine import examine
from suture.bench.frontend.form import Check, Task
from suture.bench.frontend.landing import LANDING
from suture.bench.frontend.shop import SHOP
from suture.bench.frontend.snake import SNAKE
from suture.bench.frontend.weather import WEATHER
from suture.bench.frontend.wizard import WIZARD
from suture.bench.suite.form import CheckResult

TASKS: tuple[Task, ...] = (WEATHER, SHOP, LANDING, ANALYTICS, WIZARD, SNAKE)

__all__ = ["TASKS", "Browser", "Check", "CheckResult", "Limits", "Task", "examine", "open_browser"]
