"""Readers of a cache beside one another, and a refresher that is alone with it."""

import threading

from leaselock import Client

client = Client()  # the store is in LEASELOCK_URL
together = threading.Barrier(3)


def read() -> None:
    with client.lock("cache", ttl=30, shared=True):
        together.wait(10)  # goes on when three are in here


readers = [threading.Thread(target=read) for _ in range(3)]
for reader in readers:
    reader.start()
for reader in readers:
    reader.join()
print("three readers were inside at once")

with client.lock("cache", ttl=30) as lease:
    assert client.try_acquire("cache", shared=True) is None
    lease.check()
    print("the refresher is alone")

client.close()
