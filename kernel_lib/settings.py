"""Own addresses, credentials and the namespace: the environment first, then what `course up` wrote.

    >>> from kernel_lib import settings
    >>> settings.load().kafka_bootstrap_servers
    '127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094'

The variables are the fields below in capitals (KAFKA_BOOTSTRAP_SERVERS, NAMESPACE, ...). `course up`
writes them to `course.env` and, for secrets, to `secrets.env` in the folder that COURSE_HOME names
(`.course` of this checkout unless set). A managed cluster needs the variables and no file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from kernel_lib import course_home
from kernel_lib.errors import ConfigurationError
from kernel_lib.records import INDEX_PREFIX


class Service(BaseModel):
    """A process that the course runs: where it answers, and which supervisor runs it."""

    address: str
    supervisor: str


class Settings(BaseSettings):
    """What a client needs to reach the services; secrets are masked in every repr."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    kafka_bootstrap_servers: str
    ssl_enabled: bool = False
    ssl_ca_file: Path | None = None
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    flink_jobmanager_url: str
    flink_home: Path | None = None
    flink_parallelism: int = Field(default=1, ge=1)
    flink_checkpoint_interval: int = Field(default=1000, ge=10, description="milliseconds")
    flink_savepoint_uri: str = Field(default="", description="where savepoints go; empty: the cluster's default")
    elasticsearch_url: str
    elasticsearch_user: str = ""
    elasticsearch_password: SecretStr = SecretStr("")
    elasticsearch_index_prefix: str = INDEX_PREFIX
    prometheus_url: str = ""
    grafana_url: str = ""
    supervisor_user: str = ""
    supervisor_password: SecretStr = SecretStr("")
    course_services: dict[str, Service] = Field(default_factory=dict)
    namespace: str = Field(default="", pattern=r"^[a-z0-9-]*$", description="prefix of topics, groups, jobs, indices")

    def named(self, name: str) -> str:
        """Return `name` of a topic, group, job or transactional id with the namespace before it."""
        return f"{self.namespace}.{name}" if self.namespace else name

    def index(self, name: str) -> str:
        """Return the name of an Elasticsearch index: prefix, namespace, name."""
        return self.elasticsearch_index_prefix + self.named(name)

    @property
    def security_protocol(self) -> str:
        """Kafka's name for the combination of TLS and login that is set."""
        return ("SASL_" if self.sasl_mechanism else "") + ("SSL" if self.ssl_enabled else "PLAINTEXT")

    def kafka_client(self) -> dict[str, Any]:
        """Return the connection part of a librdkafka configuration; it contains the password."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self.sasl_mechanism:
            config["sasl.mechanism"] = self.sasl_mechanism
            config["sasl.username"] = self.sasl_username
            config["sasl.password"] = self.sasl_password.get_secret_value()
        if self.ssl_enabled and self.ssl_ca_file:
            config["ssl.ca.location"] = str(self.ssl_ca_file)
        return config

    def environment(self) -> dict[str, str]:
        """Return what a Flink job needs, by the names of the environment variables; it contains the password."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "SSL_ENABLED": str(self.ssl_enabled).lower(),
            "SSL_CA_FILE": str(self.ssl_ca_file or ""),
            "SASL_MECHANISM": self.sasl_mechanism,
            "SASL_USERNAME": self.sasl_username,
            "SASL_PASSWORD": self.sasl_password.get_secret_value(),
            "ELASTICSEARCH_URL": self.elasticsearch_url,
            "ELASTICSEARCH_USER": self.elasticsearch_user,
            "ELASTICSEARCH_PASSWORD": self.elasticsearch_password.get_secret_value(),
            "ELASTICSEARCH_INDEX_PREFIX": self.elasticsearch_index_prefix,
            "NAMESPACE": self.namespace,
        }


def load(**overrides: Any) -> Settings:
    """Read the settings; `overrides` win over the environment, the environment over the files.

    Raises ConfigurationError naming each variable that is missing or wrong.
    """
    try:
        return Settings(_env_file=(course_home.path() / "course.env", course_home.path() / "secrets.env"), **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        # Pydantic's own text repeats the values, and one of them may be a secret.
        problems = "; ".join(f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors(include_input=False))
    except SettingsError as error:  # a value that should be JSON is not
        problems = str(error)
    raise ConfigurationError(
        "The settings of the course are not complete.",
        cause=f"{problems} (looked in the environment and in {course_home.path()})",
        remedy="./course up",
    )


def _variable(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location).upper()
