"""Installs a missing Debian package where we are root."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from jobtrail.stack.errors import StackError
from jobtrail.stack.progress import OnProgress

_POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian's packages run this before they start a service; exit code 101 means no."""
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
_TIMEOUT_S = 900.0


def install(package: str, *, on_progress: OnProgress, otherwise: str) -> None:
    """Install a package without starting its service; where we may not, raise StackError with the text `otherwise`."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise StackError(otherwise)
    on_progress(f"installing {package} with apt-get (once, takes a minute or two)")
    with _no_service_starts():
        _run(["apt-get", "update", "-q"], f"the package lists could not be read, which {package} needs")
        wait_for_lock = ["-o", "DPkg::Lock::Timeout=300"]
        _run(
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", *wait_for_lock, package],
            f"{package} could not be installed",
        )
    on_progress(f"installed {package}")


def disable_service(name: str) -> None:
    """Keep a package's service from starting with the machine."""
    if shutil.which("systemctl"):
        # Works without a running systemd too, as in containers: it removes links.
        subprocess.run(["systemctl", "disable", name], capture_output=True, check=False)


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    if _POLICY.exists():
        # Keep an administrator's policy; the usual one of container images refuses every start.
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


def _run(command: list[str], failure: str) -> None:
    try:
        outcome = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, **_ENVIRONMENT},
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{failure}: `{' '.join(command)}` took longer than {_TIMEOUT_S:.0f} s") from error
    if outcome.returncode != 0:
        tail = "\n".join(outcome.stdout.splitlines()[-10:])
        raise StackError(f"{failure}: `{' '.join(command)}` ended with {outcome.returncode}:\n{tail}")
