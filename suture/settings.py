"""Facts about this machine. Never part of a recipe, never part of a step's key."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from suture.errors import HostError


class Settings(BaseSettings):
    """Read from environment variables `SUTURE_*`."""

    model_config = SettingsConfigDict(env_prefix="SUTURE_", env_ignore_empty=True, frozen=True)

    store: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("suture") / "store",
        description="Where artifacts and runs are kept (SUTURE_STORE).",
    )
    remote: str | None = Field(
        default=None,
        description="What mirrors the store, so that machines share it: s3://bucket/prefix (with the AWS_* "
        "variables), or a folder's absolute path (SUTURE_REMOTE).",
    )
    state: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("suture") / "server",
        description="Where the Prefect server keeps its database and logs (SUTURE_STATE).",
    )
    database: SecretStr | None = Field(
        default=None,
        description="A PostgreSQL for the server's history, postgresql://user:password@host/name, instead of the "
        "embedded one (SUTURE_DATABASE).",
    )
    cache: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("suture"),
        description="Downloads and the managed llama.cpp build; can be deleted at any time (SUTURE_CACHE).",
    )
    llama_cpp: Path | None = Field(
        default=None, description="Folder with llama.cpp's binaries, looked at first (SUTURE_LLAMA_CPP)."
    )
    chromium: Path | None = Field(
        default=None, description="Chromium's program, for pages that a model wrote (SUTURE_CHROMIUM)."
    )
    threads: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        description="Threads for each tool (SUTURE_THREADS).",
    )
    parallel_steps: int = Field(
        default=2, ge=1, description="Steps that may run side by side (SUTURE_PARALLEL_STEPS)."
    )
    parallel_downloads: int = Field(
        default=4, ge=1, description="Files of a model that are fetched at once (SUTURE_PARALLEL_DOWNLOADS)."
    )
    download_limit: int | None = Field(
        default=None,
        ge=1,
        description="Bytes per second that all downloads may take together (SUTURE_DOWNLOAD_LIMIT).",
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key of an endpoint that is measured by its URL (SUTURE_API_KEY)."
    )
    sandbox: Literal["auto", "bubblewrap", "landlock"] = Field(
        default="auto",
        description="What confines programs that a model wrote; auto takes the best that works (SUTURE_SANDBOX).",
    )
    offline: bool = Field(default=False, description="Never open a network connection (SUTURE_OFFLINE).")

    @field_validator("remote")
    @classmethod
    def _is_the_same_everywhere(cls, remote: str | None) -> str | None:
        if remote is not None and "://" not in remote and not Path(remote).is_absolute():
            raise ValueError("a folder needs its absolute path: not all processes work where this one does")
        return remote


@cache
def settings() -> Settings:
    """Return this process's settings, read once.

    Raises:
        HostError: When a variable has a value that cannot be.
    """
    try:
        return Settings()
    except ValidationError as error:
        rows = [f"SUTURE_{str(row['loc'][0]).upper()}={row['input']}: {row['msg']}" for row in error.errors()]
        raise HostError(
            "The environment has settings that cannot be.",
            found="; ".join(rows),
            way_out="Change or unset them.",
        ) from error
