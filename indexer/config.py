"""Settings: command line over environment (``INDEXER_*``) over an optional TOML file over defaults.

Owns every option's name, default, unit and reason; it hands what is secret in them to ``redaction``. It opens no
connection. Whatever it does not know stops the start with one line, which ``options`` words: a misspelt option that
is silently ignored is found months later.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from indexer.errors import ConfigError
from indexer.model import ITEM_NAME
from indexer.networks import NETWORKS
from indexer.options import ENV_PREFIX, Conflict, Given, did_you_mean, read_file, takes, variables
from indexer.redaction import redact, remember

HIGHEST_BLOCK = 2**32 - 1
"""Block numbers of this chain have 32 bits."""
DAY_S = 86_400

_PORT = re.compile(r"[^:]*(:\d{0,5})?")
"""The end of a host in a URL, behind a ``]`` of an IPv6 address."""


def default_data_dir() -> Path:
    """``bittensor-indexer`` in the user's data folder.

    Root's home is usually closed to the unprivileged user that Postgres has to run as: there the
    place for a service's state is used instead.
    """
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    if os.geteuid() == 0 and closed_folder(home) is not None:
        home = Path("/var/lib")
    return home / "bittensor-indexer"


def closed_folder(path: Path) -> Path | None:
    """The first existing folder on the way to ``path``, itself included, that other users may not enter."""
    for folder in [*reversed(path.resolve().parents), path.resolve()]:
        if folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


class Settings(BaseSettings):
    """Every option of ``indexer run``. Frozen; made by ``load``."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    _given: Given = PrivateAttr(default_factory=lambda: Given({}, {}, {}, None))

    config: Path | None = Field(None, description="TOML file with any of these options; none by default.")
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the embedded Postgres and of local state; in the user's data folder by default.",
    )
    network: Annotated[tuple[str, ...], NoDecode] = Field(
        ("finney",),
        repr=False,
        description="`finney`, `test`, `archive`, `local` or ws:// URLs, comma separated or repeated, in order of "
        "preference: the next one is used when one fails. Use your own node if you have one: it sets the speed.",
    )
    database_url: str | None = Field(
        None,
        repr=False,
        description="postgresql:// URL, Postgres 15 or newer. Unset: an embedded one is started under `data_dir`.",
    )
    start: int | Literal["latest", "genesis"] = Field(
        "latest",
        description="First block of a new database: a height, `latest` or `genesis`. `latest` by default, as only "
        "archive nodes keep old state. Ignored once there is data.",
    )
    stop: int | None = Field(
        None, ge=0, le=HIGHEST_BLOCK, description="Last block: commit it, then exit 0. Unset: follow for ever."
    )
    follow: Literal["finalized", "best"] = Field(
        "finalized",
        description="Which head to follow. `best` is about two blocks earlier, and rewinds when the chain does.",
    )
    archive: str | None = Field(
        None,
        repr=False,
        description="ws:// URL of an archive node for blocks whose state the network's nodes have dropped. Unset: "
        "the network's public one, where it has one.",
    )
    datasets: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Comma separated names of the datasets to keep; `default` stands for those that are kept where "
        "this is unset, `all` for every one.",
    )
    item: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Storage items to index beside the datasets, as `Pallet.Item`, comma separated or repeated: every "
        "change of each, see docs/DATASETS.md.",
    )
    workers: int = Field(
        4, ge=1, le=256, description="Blocks captured at once. The node is the limit long before the processor is."
    )
    window: int = Field(
        64, ge=1, le=10_000, description="Blocks that may wait, ready, for an earlier one; bounds memory."
    )
    batch: int = Field(
        200, ge=1, le=10_000, description="Blocks per transaction while catching up; at the head it is one."
    )
    scan_every_blocks: int = Field(
        300,
        ge=1,
        le=HIGHEST_BLOCK,
        description="Blocks between two full reads of the state where no endpoint serves read proofs; "
        "blocks between are incomplete.",
    )
    standby: bool = Field(
        False, description="If another instance writes to this database, wait to take over instead of exiting with 4."
    )
    retain: int | None = Field(
        None,
        ge=1,
        le=HIGHEST_BLOCK,
        description="Blocks to keep: what happened before the last so many is forgotten, and what still holds is kept. "
        "Unset: everything.",
    )
    rpc_timeout_s: float = Field(
        30.0, gt=0, le=DAY_S, description="Seconds one request to a node may take before the next endpoint is tried."
    )
    commit_timeout_s: float = Field(
        60.0, gt=0, le=DAY_S, description="Seconds one transaction may take before the database counts as hung."
    )
    stop_timeout_s: float = Field(
        6.0,
        gt=0,
        le=DAY_S,
        description="Seconds to finish blocks in hand after SIGTERM; closing connections takes 3 s at most.",
    )
    progress_timeout_s: float = Field(
        600.0,
        gt=0,
        le=DAY_S,
        description="Seconds without any progress after which /healthz answers 503; far above the time-outs.",
    )
    metrics_address: str | None = Field(
        "127.0.0.1:9477", description="host:port of /metrics, /healthz and /readyz; `off` for none. Local by default."
    )
    ready_lag_s: float = Field(
        180.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds behind the chain above which /readyz answers 503; about 15 blocks.",
    )
    verify_every_blocks: int = Field(
        7200,
        ge=0,
        le=HIGHEST_BLOCK,
        description="Compare all tables with the chain each time so many blocks were committed, as `verify` does; "
        "about a day by default. 0: never.",
    )
    log_format: Literal["console", "json"] = Field("console", description="`console` for people, `json` for machines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged. `debug` gives a line per block."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the TOML file that one of them names."""
        assert isinstance(init_settings, InitSettingsSource)
        path = config_path(init_settings.init_kwargs)
        if path is None:
            return init_settings, env_settings
        return init_settings, env_settings, InitSettingsSource(settings_cls, read_file(path, settings_cls.model_fields))

    @field_validator("network", "datasets", "item", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            return parts
        return tuple(name.strip() for part in parts for name in part.split(",") if name.strip())

    @field_validator("network")
    @classmethod
    def _known_network(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names:
            raise ValueError("names no network")
        for name in names:
            if name not in NETWORKS:
                hint = did_you_mean(name, NETWORKS) or f" (known: {', '.join(NETWORKS)})"
                _websocket_url(name, f"neither a known network nor a ws:// or wss:// URL{hint}")
        if len({NETWORKS[name].genesis_hash for name in names if name in NETWORKS} - {None}) > 1:
            raise ValueError(f"{', '.join(names)} are different chains; fail-over needs endpoints of one")
        return names

    @field_validator("datasets")
    @classmethod
    def _some_dataset(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names == ():
            raise ValueError("names no dataset; leave it out for the usual ones")
        return names

    @field_validator("item")
    @classmethod
    def _item_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not ITEM_NAME.fullmatch(name):
                raise ValueError(f"{name!r:.80} is not of the form Pallet.Item, such as SubtensorModule.Tempo")
        return tuple(dict.fromkeys(names))

    @field_validator("archive")
    @classmethod
    def _archive_url(cls, url: str | None) -> str | None:
        return url if url is None else _websocket_url(url, "not a ws:// or wss:// URL")

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).scheme not in ("postgresql", "postgres"):
            raise ValueError("is not of the form postgresql://user:password@host:port/database")
        if url is not None and redact(url).endswith("://***"):
            raise ValueError("cannot be read: write a /, ?, # or @ of the password as %2F, %3F, %23 or %40")
        hosts = urlsplit(url or "").netloc.rpartition("@")[2].split(",")
        if not all(_PORT.fullmatch(host.rpartition("]")[2]) for host in hosts):
            raise ValueError("has a port that is no number")
        return url

    @field_validator("start", mode="before")
    @classmethod
    def _height(cls, value: object) -> object:
        if value in ("latest", "genesis"):
            return value
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and 0 <= value <= HIGHEST_BLOCK:
            return value
        raise ValueError("is neither a block number nor 'latest' nor 'genesis'")

    @field_validator("metrics_address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None or value == "off":
            return None
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("is neither host:port nor 'off'")
        return value

    @field_validator("*", mode="before")  # the last before-validator is the first to run
    @classmethod
    def _plain(cls, value: object, info: ValidationInfo) -> object:
        """What is wrong with a value of any option; it is handed on without blanks at its ends."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError(f"is not {takes(cls.model_fields[info.field_name or ''])}")
        if isinstance(value, list | tuple):
            return type(value)(cls._plain(one, info) for one in value)
        if not isinstance(value, str):
            return value
        value = value.strip()
        if not value:
            raise ValueError("is empty; leave it out for the default")
        if not value.isprintable():
            raise ValueError("holds a line break, or another character that cannot be printed")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            raise ValueError("stands in quotes that are part of the value here; leave them out")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.window < self.workers:
            raise Conflict("window", "is less than", "workers")
        if self.stop is not None and isinstance(self.start, int) and self.stop < self.start:
            raise Conflict("stop", "lies before", "start")
        return self

    def place(self, name: str) -> str:
        """Where a person has to change option ``name``: flag, variable, or file and key."""
        return self._given.place(name)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """WebSocket URLs in order of preference."""
        urls = (url for name in self.network for url in (NETWORKS[name].endpoints if name in NETWORKS else (name,)))
        return tuple(dict.fromkeys(urls))

    @property
    def archive_endpoints(self) -> tuple[str, ...]:
        """URLs of archive nodes to turn to for old state; may be empty."""
        if self.archive is not None:
            return (self.archive,)
        return tuple(dict.fromkeys(url for n in self.network if n in NETWORKS for url in NETWORKS[n].archive))

    @property
    def genesis_hash(self) -> bytes | None:
        """Hash that block 0 must have, where a named network tells it; None: whatever the first node says."""
        return next((NETWORKS[n].genesis_hash for n in self.network if n in NETWORKS and n != "local"), None)

    def redacted(self) -> dict[str, object]:
        """The settings as they may be logged: no password, no key."""
        values: dict[str, object] = self.model_dump(mode="json")
        for name, value in values.items():
            if isinstance(value, str) and "://" in value:
                values[name] = redact(value)
        values["network"] = [redact(name) for name in self.network]
        return values


def load(flags: Mapping[str, object] | None = None) -> Settings:
    """Settings from ``flags`` (None values are not given) over environment over the TOML file over defaults.

    :raises ConfigError: an unknown name or a value that does not fit, in one line that names its place.
    """
    values: dict[str, Any] = {name: value for name, value in (flags or {}).items() if value not in (None, ())}
    fields = Settings.model_fields
    in_environment = variables(fields)
    path = config_path(values)
    given = Given(values, in_environment, read_file(path, fields) if path else {}, path)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        told = {name: field.default for name, field in fields.items()} | _given_values(given)
        raise ConfigError("; ".join(given.complaint(one, fields, told) for one in error.errors())) from None
    settings._given = given
    urls = (*settings.network, settings.archive, settings.database_url)
    remember(*(url for url in urls if url is not None and "://" in url), os.environ.get("PGPASSWORD", ""))
    return settings


def config_path(flags: Mapping[str, object]) -> Path | None:
    """The TOML file that a flag or else the environment names.

    :raises ConfigError: the flag is empty.
    """
    path = flags.get("config")
    if path is None:
        path = next((os.environ[name] for name in os.environ if name.upper() == f"{ENV_PREFIX}CONFIG"), "")
        return Path(path) if path else None
    if not str(path):
        raise ConfigError("--config: is empty; leave it out for no file")
    return Path(str(path))


def _given_values(given: Given) -> dict[str, object]:
    variables = {name: os.environ[variable] for name, variable in given.variables.items()}
    return {**given.in_file, **variables, **given.flags}


def _websocket_url(url: str, wrong: str) -> str:
    try:
        parts = urlsplit(url)
        bad = parts.scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0
    except ValueError:
        raise ValueError("is a URL that cannot be read") from None
    if bad:
        raise ValueError(f"{redact(url)!r} is {wrong}")
    if parts.username is not None and not parts.password:
        raise ValueError("has a user without a password, which cannot be sent: wss://user:password@host")
    return url
