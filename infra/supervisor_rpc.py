"""Extend supervisor's XML-RPC with what its own calls cannot do: crash or pause a whole process group.

Supervisor's `signalProcess` reaches one pid, not its children, and revives what dies at once.
"""

from __future__ import annotations

import os
import signal

from supervisor.options import split_namespec
from supervisor.process import Subprocess
from supervisor.states import ProcessStates
from supervisor.supervisord import Supervisor
from supervisor.xmlrpc import Faults, RPCError


class CourseInterface:
    """The methods of the `course` namespace."""

    def __init__(self, supervisord: Supervisor) -> None:
        self.supervisord = supervisord

    def crash(self, name: str) -> bool:
        """Send SIGKILL to a process and its children, and leave it down until it is started again."""
        process = self._running(name)
        process.administrative_stop = True
        process.change_state(ProcessStates.STOPPING)
        process.killing = True
        os.killpg(process.pid, signal.SIGKILL)
        return True

    def signal_group(self, name: str, signal_name: str) -> bool:
        """Send a signal (STOP, CONT, KILL, ...) to a process and its children."""
        os.killpg(self._running(name).pid, signal.Signals[f"SIG{signal_name}"])
        return True

    def _running(self, name: str) -> Subprocess:
        group_name, process_name = split_namespec(name)
        group = self.supervisord.process_groups.get(group_name)
        process = group.processes.get(process_name) if group else None
        if process is None:
            raise RPCError(Faults.BAD_NAME, name)
        if not process.pid:
            raise RPCError(Faults.NOT_RUNNING, name)
        return process


def make(supervisord: Supervisor) -> CourseInterface:
    return CourseInterface(supervisord)
