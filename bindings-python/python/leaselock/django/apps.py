"""The app `leaselock.django`: its system check, and the command `locks`."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from leaselock._native import Client
from leaselock.django import make


class LeaselockConfig(AppConfig):
    """Is found by the name of its package."""

    name = "leaselock.django"
    label = "leaselock"
    verbose_name = "Locks"

    def ready(self) -> None:
        """Has the setting checked at every start."""
        register(check_setting)


def check_setting(**_: object) -> list[CheckMessage]:
    """Whether the setting makes a client. No network."""
    try:
        make(Client)
    except ImproperlyConfigured as error:
        hint = 'LEASELOCK = {"url": "redis://…", "app_id": "…"}: the arguments of leaselock.Client'
        return [Error(str(error), hint=hint, id="leaselock.E001")]
    return []
