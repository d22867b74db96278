"""Live views, one file each; `plots.load()` once, then a view is the last value of a cell.

>>> plots.load()
>>> plots.ServicesBoard()
>>> plots.pace(1)          # redraw once a second: for a slow browser, or many pictures
>>> plots.stop()
"""

from kernel_lib.plots.anomalies import Anomalies
from kernel_lib.plots.backpressure import Backpressure
from kernel_lib.plots.canvas import load
from kernel_lib.plots.checkpoints import Checkpoints
from kernel_lib.plots.consumer_lag import ConsumerLag
from kernel_lib.plots.error_rate import ErrorRate
from kernel_lib.plots.event_counters import EventCounters
from kernel_lib.plots.event_rate import EventRate
from kernel_lib.plots.event_time import EventTime
from kernel_lib.plots.guarantees import Guarantees
from kernel_lib.plots.jobs import Jobs
from kernel_lib.plots.kafka_cluster import KafkaCluster
from kernel_lib.plots.key_groups import KeyGroups
from kernel_lib.plots.latency import Latency
from kernel_lib.plots.ledger_board import LedgerBoard
from kernel_lib.plots.pattern_stages import PatternStages
from kernel_lib.plots.record_tape import RecordTape
from kernel_lib.plots.recovery import Recovery
from kernel_lib.plots.refresher import pace, stop
from kernel_lib.plots.resources import Resources
from kernel_lib.plots.services_board import ServicesBoard
from kernel_lib.plots.throughput import Throughput
from kernel_lib.plots.topology import JobGraph, Pipeline, Topology
from kernel_lib.plots.trends import Trends
from kernel_lib.plots.view import View
from kernel_lib.plots.windows import Windows
from kernel_lib.plots.world_map import WorldMap

__all__ = [
    "Anomalies",
    "Backpressure",
    "Checkpoints",
    "ConsumerLag",
    "ErrorRate",
    "EventCounters",
    "EventRate",
    "EventTime",
    "Guarantees",
    "JobGraph",
    "Jobs",
    "KafkaCluster",
    "KeyGroups",
    "Latency",
    "LedgerBoard",
    "PatternStages",
    "Pipeline",
    "RecordTape",
    "Recovery",
    "Resources",
    "ServicesBoard",
    "Throughput",
    "Topology",
    "Trends",
    "View",
    "Windows",
    "WorldMap",
    "load",
    "pace",
    "stop",
]
