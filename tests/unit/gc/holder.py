"""`python -m tests.unit.gc.holder URL`: a process that holds a job and does a piece of it for each line on
its standard input. It tells what became of each on its standard output."""

import asyncio
import sys

from registry.gc.jobs import Jobs, LostJob
from registry.index import open_index

HOLD_SECONDS = 2.0


async def main(url: str) -> None:
    index = open_index(url, pool_size=1)
    try:
        async with Jobs(index, hold_seconds=HOLD_SECONDS).hold("gc") as job:
            print("held", flush=True)
            while await asyncio.to_thread(sys.stdin.readline):
                await job.write(lambda connection: job.save(connection, {"by": "paused"}))
                print("done", flush=True)
    except LostJob:
        print("lost", flush=True)
    finally:
        await asyncio.to_thread(index.close)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
