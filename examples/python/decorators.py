"""Decorators whose lock is named by each call's arguments, and one that leaves calls out."""

from dataclasses import dataclass

from leaselock import Client

client = Client()


@dataclass
class Order:
    """What is paid."""

    number: int


@client.lock(lambda order: f"order:{order.number}", wait=10)
def pay(order: Order) -> None:
    """Two payments of one order never run at once."""
    print(f"order {order.number} is paid")


@client.lock(lambda day: f"report:{day}", skip=True)
def report(day: str) -> str:
    """Returns None in place of waiting, where somebody is at it."""
    return f"the report of {day}"


pay(Order(7))
print(report("Monday"))
with client.lock("report:Tuesday"):
    print(report("Tuesday"))
client.close()
