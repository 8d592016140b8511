"""Prints all that happens to the locks of this process."""

from leaselock import Client, LockEvent, observe


def tell(event: LockEvent) -> None:
    print(event.kind, event.name)


observe(tell)

with Client("memory:shop", app_id="shop") as client, client.lock("order:42", ttl=30):
    client.try_acquire("order:42")
