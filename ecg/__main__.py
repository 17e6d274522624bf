"""`python -m ecg`."""

from ecg.cli import main

if __name__ == "__main__":
    main()
