"""At most five calls at a time to a service, however many workers there are on however many machines."""

import threading
import time

from leaselock import Client

client = Client()  # the store is in LEASELOCK_URL
calling: set[str] = set()
counted: list[int] = []


def call() -> None:
    name = threading.current_thread().name
    with client.lock("geocoder", ttl=30, permits=5):
        calling.add(name)
        counted.append(len(calling))
        time.sleep(0.2)  # the call
        calling.discard(name)


workers = [threading.Thread(target=call) for _ in range(12)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(f"twelve calls, never more than {max(counted)} at a time")
client.close()
