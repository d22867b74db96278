"""Live views, one file each; `plots.load()` once, then a view is the last value of a cell.

>>> plots.load()
>>> plots.ServicesBoard()
>>> plots.stop()
"""

from kernel_lib.plots.event_rate import EventRate
from kernel_lib.plots.refresher import stop
from kernel_lib.plots.services_board import ServicesBoard
from kernel_lib.plots.topology import JobGraph, Pipeline, Topology
from kernel_lib.plots.view import View, load

__all__ = ["EventRate", "JobGraph", "Pipeline", "ServicesBoard", "Topology", "View", "load", "stop"]
