from __future__ import annotations

import errno
import os

import pytest

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.syscalls import path_bytes


def test_says_call_target_and_the_kernels_word() -> None:
    error = KernelError(errno.EINVAL, "mount overlay on", "/x")
    assert str(error) == "mount overlay on /x: Invalid argument (EINVAL)"
    assert (error.errno, error.call, error.target) == (errno.EINVAL, "mount overlay on", "/x")
    assert isinstance(error, OSError)


def test_without_target() -> None:
    assert str(KernelError(errno.EPERM, "clone3")) == "clone3: Operation not permitted (EPERM)"


def test_attempt_names_the_call() -> None:
    said = r"^open /nonexistent: No such file"
    with pytest.raises(KernelError, match=said) as caught, Attempt("open", "/nonexistent"):
        os.open("/nonexistent", os.O_RDONLY)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_attempt_leaves_other_errors_alone() -> None:
    inner = KernelError(errno.EBUSY, "inner", "/y")
    with pytest.raises(KernelError) as caught, Attempt("outer", "/x"):
        raise inner
    assert caught.value is inner
    with pytest.raises(ValueError, match="x"), Attempt("outer"):
        raise ValueError("x")


def test_a_path_with_nul_is_refused() -> None:
    with pytest.raises(KernelError, match="EINVAL"):
        path_bytes("/a\0b")
