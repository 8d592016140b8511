"""A row that remembers the largest fencing token: with SQLAlchemy. `sqlalchemy_fence.py DATABASE-URL`"""

import sys

from sqlalchemy import BigInteger, Connection, Engine, create_engine, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from leaselock import Client


class Base(DeclarativeBase):
    """What the tables are derived from."""


class Order(Base):
    """An order, and the token under which it was written last."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="new")
    fence: Mapped[int] = mapped_column(BigInteger, default=0)


class TooLateError(Exception):
    """A later holder of the lock has been here: stop."""


def write(session: Session, order_id: int, state: str, token: int) -> None:
    """One row. One UPDATE: nobody comes between the look at the fence and the write."""
    fenced = update(Order).where(Order.id == order_id, Order.fence <= token).values(state=state, fence=token)
    if session.connection().execute(fenced).rowcount != 1:
        raise TooLateError


def first_in_transaction(connection: Connection, lock: str, token: int) -> None:
    """For work on many rows, in plain SQL: a row for each lock, claimed first thing in the transaction."""
    connection.execute(
        text("INSERT INTO fences (lock, token) VALUES (:lock, 0) ON CONFLICT (lock) DO NOTHING"), {"lock": lock}
    )
    claim = text("UPDATE fences SET token = :token WHERE lock = :lock AND token <= :token")
    if connection.execute(claim, {"lock": lock, "token": token}).rowcount != 1:
        raise TooLateError


def prepare(engine: Engine) -> None:
    """The tables, and order 7."""
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE IF NOT EXISTS fences (lock VARCHAR(512) PRIMARY KEY, token BIGINT NOT NULL)")
        )
    with Session(engine) as session, session.begin():
        session.merge(Order(id=7))


def main() -> None:
    """Writes under a token, and shows that an older one is refused."""
    engine = create_engine(sys.argv[1])
    prepare(engine)
    with Client() as client, client.lock("order:7") as lease:
        with Session(engine) as session, session.begin():
            write(session, 7, "paid", lease.token)
            print("order 7 is paid")
        with engine.begin() as connection:
            first_in_transaction(connection, lease.name, lease.token)
            print("and its many rows are written")

        # What a holder that was stopped for too long would try, once it runs again.
        try:
            with Session(engine) as session, session.begin():
                write(session, 7, "cancelled", lease.token - 1)
        except TooLateError:
            print("too late: refused")


if __name__ == "__main__":
    main()
