"""What says that the extra is not installed."""

from __future__ import annotations

import importlib.util

from suture.errors import HostError


def require(package: str) -> None:
    """Check that a package of the extra is there.

    Raises:
        HostError: When it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise HostError(
            f"{package} is not installed.",
            expected="the extra `outside`, which Suture itself does without",
            way_out="pip install 'suture[outside]'; in a checkout: pip install -c constraints.txt -e '.[outside]'",
        )
