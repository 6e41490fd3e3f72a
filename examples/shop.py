"""A small shop: the code of a user. Nothing in here knows of the farm."""

import asyncio
import csv
import sqlite3
from pathlib import Path

RATES = Path(__file__).with_name("rates.csv")

database: sqlite3.Connection | None = None


async def open_database() -> sqlite3.Connection:
    """The orders and the rates of each country, kept open for `bill`."""
    global database  # noqa: PLW0603  one per process, opened before its first job
    database = await asyncio.to_thread(_fill)
    return database


def bill(order: int) -> dict[str, object]:
    """What an order costs, with the tax of its country. Raises LookupError for an order that does not exist."""
    if database is None:
        raise RuntimeError("open_database() was not called")
    row = database.execute(
        "SELECT customer, net, rate FROM orders JOIN rates USING (country) WHERE id = ?", (order,)
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no order {order}")
    customer, net, rate = row
    return {"order": order, "customer": customer, "net": net, "gross": round(net * (1 + rate), 2)}


def read_rates(path: Path) -> list[tuple[str, float]]:
    """Country and tax rate of each line."""
    with path.open(newline="") as file:
        return [(row["country"], float(row["rate"])) for row in csv.DictReader(file)]


def _fill() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE TABLE rates (country TEXT PRIMARY KEY, rate REAL)")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, country TEXT, net REAL)")
    rates = read_rates(RATES)
    connection.executemany("INSERT INTO rates VALUES (?, ?)", rates)
    orders = [(number, f"customer {number}", rates[number % len(rates)][0], 10.0 * number) for number in range(1, 101)]
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", orders)
    connection.commit()
    return connection
