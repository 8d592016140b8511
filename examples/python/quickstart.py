"""Quickstart: one job at a time, from Python."""

from leaselock import Client

client = Client()  # the store is in LEASELOCK_URL; or Client("redis://…")

# Waits up to ten seconds for its turn; renewed in the background from then on.
with client.lock("nightly-report", ttl=30, wait=10) as lease:
    print(f"writing the report under token {lease.token}")
    lease.check()  # before a step that matters: raises LeaseLostError if it is no longer ours

# Takes it only if it is free.
if free := client.try_acquire("nightly-report"):
    with free:
        print(f"it was free, token {free.token}")


# As a decorator: every call takes the lock.
@client.lock("cleanup", wait=10)
def clean_up() -> None:
    print("cleaning up, alone")


clean_up()
client.close()
