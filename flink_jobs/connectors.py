"""Own what all jobs share: their configuration, how they reach Kafka, the SQL tables that read and write topics.

Every job of this package reads and writes its topics through these tables, so that security, groups,
transactions and discovery are set in one place.

    >>> kafka = Kafka.from_environment(os.environ)
    >>> env.execute_sql(kafka.source("events", "user-events", COLUMNS, group="count_events"))

The variables are those of `kernel_lib.settings`: the environment first, then the files `course.env` and
`secrets.env` in COURSE_HOME. So `flink run -py` needs no secret among its arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

VARIABLES = (
    "KAFKA_BOOTSTRAP_SERVERS",
    "SSL_ENABLED",
    "SSL_CA_FILE",
    "SASL_MECHANISM",
    "SASL_USERNAME",
    "SASL_PASSWORD",
    "NAMESPACE",
)
SECURITY_PACKAGE = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
LOGIN_MODULES = {
    "PLAIN": f"{SECURITY_PACKAGE}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{SECURITY_PACKAGE}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{SECURITY_PACKAGE}.scram.ScramLoginModule",
}
STARTUP_MODES = {"earliest": "earliest-offset", "latest": "latest-offset", "committed": "group-offsets"}
JSON_VALUE = {
    "value.format": "json",
    "value.json.ignore-parse-errors": "true",
    "value.json.timestamp-format.standard": "ISO-8601",
    # Flink's faster parser drops the last fields of an event in which a field comes twice.
    "value.json.decode.json-parser.enabled": "false",
}
RAW_VALUE = {"value.format": "raw"}
# Fixed, because state is spread over so many key groups once and for all.
MAXIMUM_PARALLELISM = 120
# The sink's own default, an hour, is more than a broker allows.
TRANSACTION_TIMEOUT_MS = 600_000
# What a sink gathers before it sends, by its guarantee. Small batches cost brokers the most, and results in a
# transaction are seen at the next checkpoint anyway. Without a guarantee nothing is asked for, nor waited for.
_BATCHES = {"batch.size": str(256 * 1024), "compression.type": "lz4"}
LANES = {
    "exactly-once": {**_BATCHES, "linger.ms": "50"},
    "at-least-once": {**_BATCHES, "linger.ms": "5"},
    "none": {**_BATCHES, "linger.ms": "2000", "acks": "0", "enable.idempotence": "false"},
}

Topic = str
"""A topic's name without the namespace; `jobs.submit` checks that the topics a job is given exist."""

Versions = str
"""The same, of a compacted topic; a job reads it from the beginning, whatever its `start` is."""

Offsets = Mapping[int, int]
Start = str | Offsets | Mapping[str, Offsets]
"""Where a source begins: "earliest", "latest", "committed", or an offset for each partition (of each topic)."""

Until = Offsets | str | None
"""Where a source ends: before an offset for each partition, "latest" (when the job starts), or None for never."""


@dataclass(frozen=True)
class Kafka:
    """A Kafka cluster as a Flink job sees it; the password is in no repr."""

    bootstrap_servers: str
    ssl_enabled: bool = False
    ssl_ca: str = field(default="", repr=False)
    sasl_mechanism: str = ""
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    namespace: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Kafka:
        """Read the variables from `environment`, and those that it lacks from the course's files."""
        values = variables(VARIABLES, environment)
        ca_file = values.get("SSL_CA_FILE", "")
        return cls(
            bootstrap_servers=values["KAFKA_BOOTSTRAP_SERVERS"],
            ssl_enabled=values.get("SSL_ENABLED", "").lower() in ("true", "1", "yes", "on"),
            ssl_ca=Path(ca_file).read_text() if ca_file else "",
            sasl_mechanism=values.get("SASL_MECHANISM", ""),
            sasl_username=values.get("SASL_USERNAME", ""),
            sasl_password=values.get("SASL_PASSWORD", ""),
            namespace=values.get("NAMESPACE", ""),
        )

    def named(self, name: str) -> str:
        """Return `name` of a topic, group, job or transactional id with the namespace before it."""
        return f"{self.namespace}.{name}" if self.namespace else name

    def client(self) -> dict[str, str]:
        """Return the connection part of a Java client's properties; it contains the password."""
        properties = {"bootstrap.servers": self.bootstrap_servers, "security.protocol": self._security_protocol}
        if self.sasl_mechanism:
            properties["sasl.mechanism"] = self.sasl_mechanism
            properties["sasl.jaas.config"] = self._login()
        if self.ssl_enabled and self.ssl_ca:
            # The text and not the file: TaskManagers on other machines have no such file.
            properties["ssl.truststore.type"] = "PEM"
            properties["ssl.truststore.certificates"] = self.ssl_ca
        return properties

    def source(
        self,
        table: str,
        topic: str,
        columns: str,
        *,
        group: str,
        start: Start = "earliest",
        value: Mapping[str, str] = JSON_VALUE,
        idle_timeout_seconds: float | None = None,
        watermark_each_event: bool = False,
        until: Until = None,
    ) -> str:
        """Return the statement that makes `table` read `topic`, committed records only.

        `topic` may be several, with a semicolon between them. `watermark_each_event`: not every 50 ms, so that what
        is late follows from the order in the partition alone.
        `idle_timeout_seconds`: after so long a partition without records no longer holds the watermark; None for never.
        """
        if idle_timeout_seconds is not None and idle_timeout_seconds <= 0:
            raise ValueError(f"idle_timeout_seconds is {idle_timeout_seconds}, not above 0; None is for never")
        options = {
            "connector": "kafka",
            "topic": ";".join(self.named(each) for each in topic.split(";")),
            "properties.group.id": self.named(group),
            "properties.isolation.level": "read_committed",
            "properties.auto.offset.reset": "earliest",
            "scan.topic-partition-discovery.interval": "5 s",
            **_startup(start, topic),
            **_bounded(until),
            **_prefixed(self.client()),
            **value,
        }
        if idle_timeout_seconds is not None:
            options["scan.watermark.idle-timeout"] = f"{round(idle_timeout_seconds * 1000)} ms"
        if watermark_each_event:
            options["scan.watermark.emit.strategy"] = "on-event"
        return _create_table(table, columns, options)

    def versions(
        self, table: str, topic: Versions, columns: str, *, group: str, key: str, idle_timeout_seconds: float
    ) -> str:
        """Return the statement that makes `table` read the versions of a compacted topic, from the beginning always.

        A record is the version of its `key` from its timestamp on, the column `validFrom`. `idle_timeout_seconds`:
        after so long a partition without changes no longer holds back what waits for the table's watermark.
        """
        options = {
            "connector": "upsert-kafka",
            "topic": self.named(topic),
            "key.format": "raw",
            "value.fields-include": "EXCEPT_KEY",
            "properties.group.id": self.named(group),
            "properties.isolation.level": "read_committed",
            "scan.topic-partition-discovery.interval": "5 s",
            "scan.watermark.idle-timeout": f"{round(idle_timeout_seconds * 1000)} ms",
            **_prefixed(self.client()),
            **JSON_VALUE,
        }
        keyed = f"""
  `{key}` STRING,
{columns.strip()},
  `validFrom` TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL,
  PRIMARY KEY (`{key}`) NOT ENFORCED,
  WATERMARK FOR `validFrom` AS `validFrom`
"""
        return _create_table(table, keyed, options)

    def sink(
        self,
        table: str,
        topic: str,
        columns: str,
        *,
        job: str,
        key: str,
        guarantee: str = "exactly-once",
        value: Mapping[str, str] = JSON_VALUE,
        updating: bool = False,
    ) -> str:
        """Return the statement that makes `table` write `topic`, keyed by the column `key`.

        `guarantee` is "exactly-once", "at-least-once" or "none". Raises ValueError for another one.
        The transactional ids begin with the name of the job and of the topic: the same in every run,
        so that a new run aborts what an old one left open.
        `updating`: a row takes the place of the one before it with the same key; each is a record all the same.
        """
        if guarantee not in LANES:
            raise ValueError(f"guarantee is {guarantee!r}, not one of {', '.join(LANES)}")
        if updating:
            columns = f"{columns.rstrip()},\n  PRIMARY KEY (`{key}`) NOT ENFORCED"
        options = {
            **({"connector": "upsert-kafka"} if updating else {"connector": "kafka", "key.fields": key}),
            "topic": self.named(topic),
            "key.format": "raw",
            "sink.delivery-guarantee": guarantee,
            "sink.transactional-id-prefix": f"{self.named(job)}.{topic}",
            # The default takes a new id at each checkpoint, and a new run tries every one that was ever used:
            # it starts ten seconds later for each minute that the job has run before.
            "sink.transaction-naming-strategy": "POOLING",
            "properties.transaction.timeout.ms": str(TRANSACTION_TIMEOUT_MS),
            **_prefixed(LANES[guarantee]),
            **_prefixed(self.client()),
            **value,
        }
        return _create_table(table, columns, options)

    @property
    def _security_protocol(self) -> str:
        return ("SASL_" if self.sasl_mechanism else "") + ("SSL" if self.ssl_enabled else "PLAINTEXT")

    def _login(self) -> str:
        module = LOGIN_MODULES[self.sasl_mechanism]
        return f'{module} required username="{_jaas(self.sasl_username)}" password="{_jaas(self.sasl_password)}";'


def variables(names: Collection[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return what `environment` says of the variables, and what it lacks from the course's files."""
    values = {name: environment[name] for name in names if name in environment}
    return values if len(values) == len(names) else {**_course_files(environment), **values}


def configuration(
    *,
    parallelism: int = 1,
    checkpoint_interval_ms: int = 1000,
    chaining: bool = False,
    restart_attempts: int = 3,
    python_mode: str = "thread",
) -> dict[str, str]:
    """Return the whole configuration of a job; Flink does not merge the cluster's into a remote one.

    Without `chaining` each operator is a task of its own, so that a picture of the job shows it.
    `python_mode` is "thread" (less latency) or "process".
    """
    return {
        "parallelism.default": str(parallelism),
        "pipeline.max-parallelism": str(MAXIMUM_PARALLELISM),
        # No operator here keeps or changes the records it gets; copying each for the next cost a third of a window.
        "pipeline.object-reuse": "true",
        "pipeline.auto-watermark-interval": "50 ms",
        "pipeline.operator-chaining.enabled": str(chaining).lower(),
        "python.operator-chaining.enabled": str(chaining).lower(),
        "python.execution-mode": python_mode,
        "python.fn-execution.bundle.time": "10",
        # A checkpoint's barrier waits in the buffers of each task on its way, and a change of a parameter waits for it.
        "execution.buffer-timeout.interval": "5 ms",
        "execution.checkpointing.interval": f"{checkpoint_interval_ms} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        # A broker or TaskManager that is away for a while makes checkpoints fail; that is no fault of the job.
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": str(restart_attempts),
        "restart-strategy.fixed-delay.delay": "500 ms",
        "table.local-time-zone": "UTC",
        # Every operator of an SQL job gets a uid, so that a savepoint fits the next submit.
        "table.exec.uid.generation": "ALWAYS",
    }


def seconds(value: float) -> str:
    """Return `value` as an SQL interval, to the millisecond; below a hundred days."""
    minutes, rest = divmod(round(value * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    # Flink's planner takes no other precision of SECOND than the default, which ends at 99.
    return f"INTERVAL '{days} {hours:02}:{minutes:02}:{rest / 1000:06.3f}' DAY TO SECOND"


def _startup(start: Start, topic: str) -> dict[str, str]:
    if isinstance(start, str):
        return {"scan.startup.mode": STARTUP_MODES[start]}
    places = cast(Offsets, start.get(topic, start))  # type: ignore[call-overload]
    return {"scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": _offsets(places)}


def _bounded(until: Until) -> dict[str, str]:
    if until is None:
        return {}
    if isinstance(until, str):
        return {"scan.bounded.mode": STARTUP_MODES[until]}
    return {"scan.bounded.mode": "specific-offsets", "scan.bounded.specific-offsets": _offsets(until)}


def _offsets(offsets: Offsets) -> str:
    return ";".join(f"partition:{partition},offset:{offset}" for partition, offset in sorted(offsets.items()))


def _create_table(table: str, columns: str, options: Mapping[str, str]) -> str:
    rendered = ",\n".join(f"  {_quoted(name)} = {_quoted(value)}" for name, value in options.items())
    return f"CREATE TEMPORARY TABLE {table} (\n{columns.strip()}\n) WITH (\n{rendered}\n)"


def _prefixed(properties: Mapping[str, str]) -> dict[str, str]:
    return {f"properties.{name}": value for name, value in properties.items()}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _jaas(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _course_files(environment: Mapping[str, str]) -> dict[str, str]:
    default = Path(__file__).resolve().parent.parent / ".course"
    home = Path(environment.get("COURSE_HOME") or default)
    values: dict[str, str] = {}
    for path in (home / "course.env", home / "secrets.env"):
        if path.exists():
            values |= _assignments(path.read_text())
    return values


def _assignments(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
