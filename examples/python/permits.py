"""At most five calls at a time to a service, however many workers there are on however many machines."""

import threading
import time

from leaselock import Client

client = Client()  # the store is in LEASELOCK_URL
counting = threading.Lock()
calling, most = 0, 0


def call() -> None:
    global calling, most
    with client.lock("geocoder", ttl=30, permits=5):
        with counting:
            calling += 1
            most = max(most, calling)
        time.sleep(0.2)  # the call
        with counting:
            calling -= 1


workers = [threading.Thread(target=call) for _ in range(12)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(f"twelve calls, never more than {most} at a time")
client.close()
