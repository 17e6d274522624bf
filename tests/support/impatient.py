"""`python -m study`, which waits two seconds for a database that is away, and so do its workers.

`python -m tests.support.impatient WORDS`. A spawned worker imports this module again: what is
set at its top holds there too.
"""

from study import cli
from study.storage import outage

outage.OUTAGE_SECONDS = 2

if __name__ == "__main__":
    cli.main()
