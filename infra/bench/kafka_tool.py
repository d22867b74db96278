"""Run Kafka's own performance tool, a yardstick for producers of the course and for the speed of the machine."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra import speed
from infra.bench.figures import Figure
from infra.layout import Layout
from kernel_lib import topics
from kernel_lib.errors import CourseError
from kernel_lib.producer_process import tuning
from kernel_lib.settings import Settings

MAIN_CLASS = "org.apache.kafka.tools.ProducerPerformance"
_SPEED = re.compile(r"([\d.]+) records/sec")
# The fixed piece of work: one partition, and nobody waits for copies.
RECORDS, RECORD_BYTES, ROUNDS = 300_000, 100, 3
# In `./course bench --quick` on the machine of the course's figures (2 cores of AMD EPYC, 24 GiB, December 2026).
REFERENCE_RECORDS_PER_SECOND = 115_000


def speed_indices(where: Layout, settings: Settings) -> Iterator[Figure]:
    """Yield how fast this machine is beside that of the benchmark figures: 1.0 is as fast."""
    python = "json and counting, the fastest of many short pieces; 1 is the machine of the course's figures"
    yield Figure("speed_index_python", speed.index(), "", python)
    name = "speed"
    topics.create(name, partitions=1, settings=settings)
    payload = ["--record-size", str(RECORD_BYTES)]
    found = [records_per_second(where, settings, name, RECORDS, payload, {"acks": 1}) for _ in range(ROUNDS)]
    topics.delete(name, settings=settings)
    conditions = f"Kafka's performance tool, {RECORDS:,} records of {RECORD_BYTES} bytes to one partition, acks=1"
    rounds = ", ".join(f"{each:,.0f}" for each in found)
    yield Figure("speed_index_kafka", max(found) / REFERENCE_RECORDS_PER_SECOND, "", f"{conditions}: {rounds}/s")


def records_per_second(
    where: Layout, settings: Settings, topic: str, records: int, payload: list[str], properties: dict[str, object]
) -> float:
    """Send so many records to a topic as fast as the tool can. Raises CourseError with what it said if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "client.properties")
        config.write_text("".join(f"{key}={value}\n" for key, value in (_connection(settings) | properties).items()))
        command = [f"{where.java_home}/bin/java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{where.home}/kafka/lib/*"]
        command += [MAIN_CLASS, "--topic", settings.named(topic), "--num-records", str(records), "--throughput", "-1"]
        command += [*payload, "--command-config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    speeds = _SPEED.findall(done.stdout)
    if done.returncode or not speeds:
        raise CourseError("Kafka's performance tool failed.", cause=(done.stderr or done.stdout).strip()[-300:])
    return float(speeds[-1])  # earlier lines are about a part of the run


def as_tuned() -> dict[str, object]:
    """Return in the tool's words what our producers are tuned to."""
    ours = tuning()
    return {
        "acks": ours["acks"],
        "enable.idempotence": "true",
        "linger.ms": ours["linger.ms"],
        "compression.type": ours["compression.type"],
        "batch.size": 131_072,
    }


def _connection(settings: Settings) -> dict[str, object]:
    ours = settings.kafka_client()
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    login = f'{module} required username="{ours["sasl.username"]}" password="{ours["sasl.password"]}";'
    return {
        "bootstrap.servers": ours["bootstrap.servers"],
        "security.protocol": ours["security.protocol"],
        "sasl.mechanism": ours["sasl.mechanism"],
        "sasl.jaas.config": login,
    }
