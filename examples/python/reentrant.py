"""A method that calls another one under the same lock."""

from leaselock import Client

client = Client()


class Account:
    """An account that may be changed by one at a time, on whatever host."""

    balance = 0

    @client.lock("account:7", reentrant=True)
    def add(self, amount: int) -> None:
        """Adds once."""
        self.balance += amount

    @client.lock("account:7", reentrant=True)
    def add_with_interest(self, amount: int) -> None:
        """Adds twice, with nobody in between."""
        self.add(amount)  # who is inside enters again, under the same lease
        self.add(amount // 10)


account = Account()
account.add_with_interest(100)
print("balance", account.balance, "after", client.stats().acquired, "lease")
client.close()
