"""Three ways to ask for a lock: only if it is free, for so long and no longer, and held for so long at most."""

from leaselock import Client, LockTimeoutError

with Client() as client, Client() as other:
    with other.lock("import", label="night shift"):
        # A timer job that may be left out: it does not wait at all.
        if client.try_acquire("import") is None:
            print("left out: another import is at it")

        # A request: it waits as long as its caller would, and says who was in the way.
        try:
            client.acquire("import", wait=0.2)
        except LockTimeoutError:
            info = client.inspect("import")
            print(f"busy: {info.owner.split(':')[0] if info else 'it has just ended'}")

    # A job that may hang: whatever happens, the name is free again after ten minutes.
    with client.lock("import", ttl=30, max_hold=600) as lease:
        print(f"imports, for {lease.ttl:.0f} s at a time")
