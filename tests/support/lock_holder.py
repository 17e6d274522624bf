"""A process that takes a study's lock and keeps it: `python -m tests.support.lock_holder URL`."""

import sys
import time

from study.storage.studies import open_storage, study_lock


def main() -> None:
    """Say on standard output when the lock is held."""
    storage = open_storage(sys.argv[1])
    with study_lock(storage, "s"):
        print("held", flush=True)
        time.sleep(3600)


if __name__ == "__main__":
    main()
