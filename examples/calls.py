# calls.py      start a host on any machine:  farm worker calls --app calls     (or: python calls.py)
import shop  # the user's own code

import farm

app = farm.App(queues="calls", idle_processes=1, processes=2, threshold=0.75)  # below flag and environment
app.queue("calls", on_lost="fail")  # holds for jobs from plain rq too


@app.prewarm  # in each process, before it takes a job; what stands after the yield runs when the process ends
async def connect(process):
    database = process.userdata["db"] = await shop.open_database()
    yield
    database.close()


@app.load  # 0 to 1; host: what was measured. 0 or 1 argument
def load(host):
    return max(host.cpu, host.busy / 24)


if __name__ == "__main__":
    app.run()

# any other service, with none of this code:
#   Queue("calls", connection=redis).enqueue("shop.bill", 7)                                  # plain rq
#   job = farm.Client().queue("calls", timeout=60).enqueue("shop.bill", 7); job.result(timeout=60)
#   job = await farm.AsyncClient().queue("calls").enqueue(shop.bill, 7); await job.result()
