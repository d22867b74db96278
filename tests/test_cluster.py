from pathlib import Path

import pytest

from kernel_lib import cluster
from kernel_lib.cluster import root_cause
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.settings import load

BLAMED = """java.lang.reflect.InvocationTargetException
\tat java.base/java.lang.reflect.Method.invoke(Unknown Source)
Caused by: pemja.core.PythonException: <class 'flink_jobs.map_events.FunctionFailed'>: enrich raised KeyError: 'x', \
at File "{file}", line 2, in enrich, for the event {{"a": 1}}
\tat /tmp/jobs/map_events.apply(map_events.py:75)
"""

PROCESS_MODE = """java.lang.RuntimeException: Error while waiting for BeamPythonFunctionRunner flush
Caused by: java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):
  File "/somewhere/site-packages/apache_beam/runners/worker/sdk_worker.py", line 312, in _execute
    response = task()
  File "/lessons/job.py", line 7, in parse
    return 1 / 0
  File "/somewhere/site-packages/pyflink/fn_execution/operations.py", line 3, in inner
    f()
ZeroDivisionError: division by zero

\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient.handle(FnApiControlClient.java:180)
"""

JAVA = """org.apache.flink.runtime.JobException: Recovery is suppressed by FixedDelayRestartBackoffTimeStrategy
\tat org.apache.flink.Outer.run(Outer.java:1)
Caused by: org.apache.kafka.common.errors.TimeoutException: Topic t not present in metadata after 60000 ms.
"""


def test_the_learner_s_function_comes_first_with_its_line_of_code(tmp_path: Path) -> None:
    cell = tmp_path / "cell.py"
    cell.write_text("def enrich(event):\n    return event['x']\n")
    said = root_cause(BLAMED.format(file=cell))
    assert said == "enrich raised KeyError: 'x', at line 2 of enrich: `return event['x']`, for the event {\"a\": 1}"


def test_the_line_is_left_out_where_this_process_does_not_know_it() -> None:
    assert "at line 2 of enrich, for the event" in root_cause(BLAMED.format(file="/tmp/ipykernel_0/1.py"))


def test_a_python_traceback_gives_its_error_and_the_last_place_outside_libraries() -> None:
    assert root_cause(PROCESS_MODE) == "ZeroDivisionError: division by zero, at line 7 of parse"


def test_a_java_stack_trace_gives_its_last_cause() -> None:
    assert root_cause(JAVA) == "TimeoutException: Topic t not present in metadata after 60000 ms."


def test_an_error_that_came_through_py4j_is_java_s() -> None:
    trace = "An error occurred while calling o1.execute.\n: org.apache.flink.ValidationException: no column a\n\tat b.c"
    assert root_cause(trace) == "ValidationException: no column a"


def test_a_text_that_is_no_stack_trace_gives_its_first_line() -> None:
    assert root_cause("Not found: /jobs/1\nmore") == "Not found: /jobs/1"
    assert root_cause("") == ""


def test_a_cluster_that_is_down_is_named_with_its_address(
    empty_home: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    settings = load(kafka_bootstrap_servers="b:1", flink_jobmanager_url=url, elasticsearch_url="http://e")
    with pytest.raises(ServiceUnavailable, match="Flink at") as failure:
        cluster.get(settings, "/overview")
    assert failure.value.address == url
    assert "refused" in failure.value.cause


def test_a_taskmanager_that_cannot_start_python_any_more_is_said_to_be_so() -> None:
    trace = """java.lang.Error: java.lang.InterruptedException
	at pemja.core.PythonInterpreter$MainInterpreter.initialize(PythonInterpreter.java:406)
Caused by: java.lang.InterruptedException"""
    assert root_cause(trace).startswith("a TaskManager was interrupted while it started Python")
