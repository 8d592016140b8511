"""A site in one file: settings, URLs and views, which leave traces of their work in the folder FOLDER."""

import json
import os
from typing import Any

from beats import work, work_async
from django.http import HttpRequest, JsonResponse
from django.urls import path

from leaselock.django import aclient, client, exclusive, lock

SECRET_KEY = "tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_site"
INSTALLED_APPS = ["leaselock.django"]
# A test gives the whole setting, or leaves it out.
if (given := os.environ.get("SETTING")) is not None:
    LEASELOCK: Any = json.loads(given)


def plain(_: HttpRequest, order: int) -> JsonResponse:
    with lock(f"order:{order}", wait=20) as lease:
        work(f"{os.environ['FOLDER']}/orders", 0.05)
        return JsonResponse({"token": lease.token})


async def coroutine(_: HttpRequest, order: int) -> JsonResponse:
    async with aclient.lock(f"order:{order}", wait=20) as lease:
        await work_async(f"{os.environ['FOLDER']}/orders", 0.05)
        return JsonResponse({"token": lease.token})


@exclusive("order:{order}", wait=20)
def decorated_work(order: int) -> None:
    work(f"{os.environ['FOLDER']}/orders", 0.05)


@exclusive("order:{order}", wait=20)
async def decorated_coroutine_work(order: int) -> None:
    await work_async(f"{os.environ['FOLDER']}/orders", 0.05)


def decorated(_: HttpRequest, order: int) -> JsonResponse:
    decorated_work(order)
    return JsonResponse({"client": client.id})


async def decorated_coroutine(_: HttpRequest, order: int) -> JsonResponse:
    await decorated_coroutine_work(order)
    return JsonResponse({"client": aclient.id})


urlpatterns = [
    path("plain/<int:order>", plain),
    path("coroutine/<int:order>", coroutine),
    path("decorated/<int:order>", decorated),
    path("decorated-coroutine/<int:order>", decorated_coroutine),
]
