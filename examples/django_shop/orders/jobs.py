"""The shop's jobs: plain functions that use the models."""

from django.db import transaction

from orders.models import Order


def bill(order: int) -> dict[str, object]:
    """Bills an order once. Raises Order.DoesNotExist."""
    with transaction.atomic():
        found = Order.objects.select_for_update().get(pk=order)
        found.billed = True
        found.save(update_fields=["billed"])
    return {"order": order, "customer": found.customer, "gross": round(found.net * 1.19, 2)}
