"""What the shop keeps."""

from django.db import models


class Order(models.Model):
    """One order of a customer."""

    customer = models.CharField(max_length=100)
    net = models.FloatField()
    billed = models.BooleanField(default=False)
