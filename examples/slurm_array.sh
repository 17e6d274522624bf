#!/bin/bash
# Eight workers of one study, each with its own GPU:  sbatch examples/slurm_array.sh
#
# Every task joins the study in the PostgreSQL database. `scancel` sends SIGTERM first: the
# running trial is requeued. Submit the same script again to continue.
#SBATCH --job-name=ecg-study
#SBATCH --array=1-8
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=08:00:00
#SBATCH --output=slurm-%A_%a.out
set -euo pipefail

# The password stays in ~/.pgpass, out of the script and out of `ps`.
export ECG_STORAGE=${ECG_STORAGE:-postgresql+psycopg://ecg@db-host/ecg}
export ECG_DATA=${ECG_DATA:-$HOME/mitdb}

srun .venv/bin/python -m study run --space full --budget paper --trials 200
