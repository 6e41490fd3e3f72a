"""A process that the template forked in advance, and what it says to whom when it is asked for."""

import os
import select
import socket
from contextlib import ExitStack

from farm_worker.pool.lines import Lines
from farm_worker.pool.template_fork import is_another_wanted, wait_for_request


def test_the_host_hears_that_the_reserve_was_taken_before_it_can_hear_of_the_next_one() -> None:
    with ExitStack() as stack:
        host, stream = socket.socketpair()
        template_end, reserve_end = os.pipe()
        lines, ends = Lines.open()
        for close in (host.close, stream.close, lines.stream.close, lines.close, ends.close):
            stack.callback(close)
        stack.callback(os.close, lines.token_read)
        stack.callback(os.close, lines.token_write)
        ends.send(host)
        template_knows: list[bool] = []

        taken = wait_for_request(
            stream, reserve_end, lambda: template_knows.append(bool(select.select([template_end], [], [], 0)[0]))
        )
        stack.callback(taken.refuse)

        assert template_knows == [False]
        assert is_another_wanted(template_end)
