"""Moves money between two accounts, each of which may be changed by one at a time: both locks, or none."""

import time
from concurrent.futures import ThreadPoolExecutor

from leaselock import Client

balances = {"account:4": 100, "account:7": 100}


def move(client: Client, payer: str, payee: str, amount: int) -> None:
    """Takes from one account and adds to the other."""
    # Whoever moves money the other way names them the other way round; they are taken in the same order all the same.
    with client.lock_all([payer, payee], ttl=10, wait=30) as both:
        before = dict(balances)
        time.sleep(0.01)  # a database takes its time
        both.check()  # raises LeaseLostError if one of the locks was lost
        balances[payer] = before[payer] - amount
        balances[payee] = before[payee] + amount


def main() -> None:
    """Moves 30 to and fro, and 5 more."""
    with Client() as client, ThreadPoolExecutor() as threads:
        moves = [("account:4", "account:7", 30), ("account:7", "account:4", 30), ("account:4", "account:7", 5)]
        for done in [threads.submit(move, client, *one) for one in moves * 3]:
            done.result()
    print(balances)


if __name__ == "__main__":
    main()
