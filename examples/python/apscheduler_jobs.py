"""Two copies of this on two machines, the same schedule: each run is done once. `apscheduler_jobs.py DATABASE`"""

import os
import sys

from apscheduler.schedulers.blocking import BlockingScheduler

from leaselock.apscheduler import exclusive


# For 1.5 s from its beginning no other copy begins it, though it is done at once.
@exclusive("report:{country}", min_hold=1.5)
def write_report(country: str) -> None:
    """The job. It stands at the top of a module, where a job store finds it by its name."""
    print(f"{os.getpid()} writes the report of {country}", flush=True)


if __name__ == "__main__":
    scheduler = BlockingScheduler()
    # Of each scheduler its own: APScheduler 3 has no job store that two may share.
    scheduler.add_jobstore("sqlalchemy", url=f"sqlite:///{sys.argv[1]}")
    # Who is more than a second late leaves the run out, so that min_hold covers all who do not.
    job = {"id": "report", "replace_existing": True, "misfire_grace_time": 1}
    scheduler.add_job(write_report, "cron", args=["Norway"], second="*/3", **job)
    scheduler.start()
