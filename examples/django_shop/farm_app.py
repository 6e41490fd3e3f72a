# farm_app.py   a host for a Django project, started beside manage.py:   farm worker --app farm_app
import os

import farm

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")
app = farm.App(queues="orders", processes=2)


@app.preload  # once per host: apps and models are loaded before the processes are forked, and shared by them
def set_up_django():
    import django  # noqa: PLC0415  the settings module is named above

    django.setup()


@app.around_job  # a connection that the database closed meanwhile is not used again; none is left in a transaction
def fresh_connections():
    from django.db import close_old_connections, reset_queries  # noqa: PLC0415  needs Django to be set up

    reset_queries()
    close_old_connections()
    yield
    close_old_connections()


if __name__ == "__main__":
    app.run()

# in a view, with a limit of one hour in place of RQ's 180 s:
#   farm.Client().queue("orders", timeout=3600).enqueue("orders.jobs.bill", order.pk)
#   Queue("orders", connection=redis).enqueue("orders.jobs.bill", order.pk, job_timeout=3600)       # plain rq
