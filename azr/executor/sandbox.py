"""The walls around a worker: what the kernel is asked to forbid, layer by layer, and which of it was granted.

``enter`` is called once in a worker, before any program is seen; the lock in each forked child, just before it runs
one. Both degrade: what the machine refuses is in the report and the rest still holds. Linux has all layers; elsewhere
(macOS) the resource limits and the separate process remain. Left out: what needs set-up outside of the process, such as
cgroups or AppArmor.

The seccomp filter is some lines of classic BPF given to ``prctl``, rather than libseccomp through one of its Python
wrappers: those need a shared library that wheels do not carry, and a layer must not vanish where it is missing.
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HOLDS = "holds"
_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # mounts, host name, IPC, PIDs, network
_CLONE_NEWUSER = 0x10000000
_NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_LINUX = sys.platform == "linux"

# The system calls that a program needs once its interpreter is warm: their numbers on x86-64 and on arm64.
_CALLS = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sched_yield": (24, 124), "mremap": (25, 216),
    "madvise": (28, 233), "setitimer": (38, 103), "getpid": (39, 172), "exit": (60, 93), "getrusage": (98, 165),
    "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "exit_group": (231, 94), "getrandom": (318, 278),
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine -> its number in the kernel's audit, and its column above."""


def seccomp_filter(machine: str) -> bytes | None:
    """The filter as the kernel reads it: listed calls pass, all others fail with EPERM. None on unknown machines."""
    if not _LINUX or machine not in _MACHINES:
        return None
    architecture, column = _MACHINES[machine]
    allowed = sorted(numbers[column] for numbers in _CALLS.values())
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000
    code = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, kill), (load, 0, 0, 0)]
    code.append((at_least, len(allowed), 0, 0x40000000))  # the second set of calls that x86 has
    code += [(equal, len(allowed) - i, 0, number) for i, number in enumerate(allowed)]
    code += [(give, 0, 0, refuse), (give, 0, 0, allow)]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def make_lock(memory_mb: int, cpu_seconds: float) -> Callable[[], bool]:
    """What each child does before it runs a program: lower the limits for good and install the filter.

    ``memory_mb`` comes on top of what the worker has mapped, so call this when all is loaded. The CPU limit in whole
    seconds stands behind the exact timer that the child sets. The lock gives False where the filter was refused.
    """
    cpu = int(cpu_seconds) + 2
    limits = {resource.RLIMIT_CPU: cpu, resource.RLIMIT_NOFILE: 0, resource.RLIMIT_NPROC: 0}
    if _LINUX:  # macOS has the constant and does not enforce it
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = mapped + (memory_mb << 20)
    prctl = ctypes.CDLL(None).prctl if _LINUX else None
    code = seccomp_filter(platform.machine()) or b""
    program = _FilterProgram(len(code) // 8, code)

    def lock() -> bool:
        for name, value in limits.items():
            resource.setrlimit(name, (value, value))
        if prctl is None:
            return False
        prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
        return bool(code) and prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0) == 0

    return lock


def enter(lock: Callable[[], bool]) -> dict[str, str]:
    """Close the worker in. Returns layer -> "holds" or why it does not; the lock is tried in a child.

    Forks where PID namespaces are granted: the caller goes on as process 1 of its own, the old process waits for it.
    """
    report = {"namespaces": _attempt(_unshare) if _LINUX else f"{sys.platform} has none"}
    if report["namespaces"] == HOLDS:
        _become_process_1()
    report["empty root directory"] = _attempt(_leave_file_system)
    report["unprivileged user"] = _attempt(_become_nobody) if os.geteuid() == 0 else HOLDS
    if _LINUX:
        report["no capabilities"] = _attempt(_drop_capabilities)
        report["no new privileges"] = _attempt(lambda: _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _attempt(lambda: _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0))
    if report["namespaces"] == HOLDS:  # else the parent is a thread of the pool's, and may end before the pool
        _attempt(lambda: _call("prctl", _PR_SET_PDEATHSIG, 9, 0, 0, 0))  # last: a change of user clears it
    for name in ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"):
        if hasattr(resource, name):
            resource.setrlimit(getattr(resource, name), (0, 0))
    report["seccomp filter"] = _filter_state(lock)
    return report


def _filter_state(lock: Callable[[], bool]) -> str:
    if seccomp_filter(platform.machine()) is None:
        return f"no filter for {sys.platform} on {platform.machine()}"
    pid = os.fork()
    if pid == 0:
        os._exit(0 if lock() else 1)
    return HOLDS if os.waitpid(pid, 0)[1] == 0 else "refused by the kernel"


def _attempt(action: Callable[[], None]) -> str:
    try:
        action()
    except OSError as error:
        return error.strerror or str(error)
    return HOLDS


def _call(name: str, *arguments: int | bytes) -> None:
    """Call a function of libc; OSError where it fails."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*[ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _unshare() -> None:
    """New namespaces: as root directly, else inside a user namespace of our own, if the machine lets us."""
    uid, gid = os.getuid(), os.getgid()
    if os.geteuid() == 0 and _attempt(lambda: _call("unshare", _NAMESPACES)) == HOLDS:
        return
    _call("unshare", _NAMESPACES | _CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with contextlib.suppress(OSError):  # unmapped, the process is nobody: good as well
            Path(f"/proc/self/{name}").write_text(text)


def _become_process_1() -> None:
    """Fork into the new PID namespace: all in it dies with its process 1."""
    child = os.fork()
    if child:
        os.closerange(0, 3)
        os.waitpid(child, 0)
        os._exit(0)


def _leave_file_system() -> None:
    """Make a removed directory the root: it is empty, nothing can be made in it, and nothing is left behind."""
    path = Path(tempfile.mkdtemp(prefix="azr-"))
    os.chdir(path)
    path.rmdir()
    try:
        os.chroot(".")
    finally:
        os.chdir("/")


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _drop_capabilities() -> None:
    version_3 = struct.pack("Ii", 0x20080522, 0)
    _call("capset", version_3, bytes(24))
