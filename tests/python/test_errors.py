"""The errors: names, codes, bases, and how they travel."""

from __future__ import annotations

import copy
import pickle

import pytest

import leaselock
from leaselock import (
    ClientClosedError,
    InvalidArgumentError,
    LeaselockError,
    LeaselockWarning,
    LeaseLostError,
    LockTimeoutError,
    StoreRefusedError,
    StoreUnavailableError,
    _native,
)

CODES: dict[type[LeaselockError], str] = {
    InvalidArgumentError: "INVALID_ARGUMENT",
    LockTimeoutError: "LOCK_TIMEOUT",
    LeaseLostError: "LEASE_LOST",
    StoreUnavailableError: "STORE_UNAVAILABLE",
    StoreRefusedError: "STORE_REFUSED",
    ClientClosedError: "CLIENT_CLOSED",
}


def test_the_table_of_the_core_and_the_classes_agree() -> None:
    assert _native.error_codes() == {cls.__name__: code for cls, code in CODES.items()}
    for cls, code in CODES.items():
        assert cls.code == code
        assert issubclass(cls, LeaselockError)
        assert cls.__module__ == "leaselock"
        assert getattr(leaselock, cls.__name__) is cls


def test_the_further_bases() -> None:
    assert issubclass(InvalidArgumentError, ValueError)
    assert issubclass(LockTimeoutError, TimeoutError)
    assert issubclass(StoreUnavailableError, ConnectionError)
    assert issubclass(LeaselockWarning, RuntimeWarning)
    assert not issubclass(LeaselockError, (ValueError, OSError))


@pytest.mark.parametrize("cls", CODES, ids=lambda cls: cls.__name__)
def test_errors_can_be_pickled_and_copied(cls: type[LeaselockError]) -> None:
    error = LeaseLostError("gone", "max_hold") if cls is LeaseLostError else cls("gone")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is cls
        assert str(again) == "gone"
        assert again.code == cls.code
        assert getattr(again, "reason", None) == getattr(error, "reason", None)


def test_classes_derived_elsewhere_inherit_the_code() -> None:
    class MineError(LockTimeoutError):
        pass

    assert MineError.code == "LOCK_TIMEOUT"
    assert MineError.__module__ == __name__


def test_an_expired_wait_and_a_lost_lease_do_not_look_alike() -> None:
    """FIELD-BUGS 14."""
    assert not issubclass(LeaseLostError, LockTimeoutError)
    assert not issubclass(LockTimeoutError, LeaseLostError)
    assert not issubclass(StoreUnavailableError, LockTimeoutError)


def test_everything_public_is_documented() -> None:
    for name in leaselock.__all__:
        value = getattr(leaselock, name)
        if isinstance(value, type):
            assert value.__doc__, name
            for member in vars(value):
                if not member.startswith("_") and callable(getattr(value, member)):
                    assert getattr(value, member).__doc__, f"{name}.{member}"


def test_star_import() -> None:
    namespace: dict[str, object] = {}
    exec("from leaselock import *", namespace)
    assert set(leaselock.__all__) <= set(namespace)
