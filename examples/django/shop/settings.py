"""The settings of a shop whose processes share locks."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "for this machine alone")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["leaselock.django"]

# The arguments of leaselock.Client.
LEASELOCK = {"url": os.environ.get("LEASELOCK_URL", "redis://localhost:6379"), "app_id": "shop"}
