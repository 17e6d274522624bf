"""The content of the files that a trained trial keeps: its weights, predictions, counts."""

import io

import numpy as np
from safetensors.torch import save
from torch import Tensor

from ecg.inter_patient import confusion_by_record
from ecg.training import Part, TrainResult


def weights_file(result: TrainResult) -> bytes:
    """Return the weights of the best epoch as safetensors."""
    plain = {name: t.detach().cpu().contiguous() for name, t in result.weights.items()}
    return save(plain, {"epoch": str(result.best_epoch)})


def predictions_file(part: Part, logits: Tensor) -> bytes:
    """Return what a network makes of a part, as a compressed .npz.

    Args:
        part: of which the logits are.
        logits: (n, 5) on the CPU.

    Returns:
        The file. Its arrays are `row` (n,) int32, the row number in the heartbeats, -1 where it is
        not known; `label` (n,) int8, the true class; `probability` (n, 5) float16.
    """
    rows = np.full(len(part), -1) if part.rows is None else part.rows
    file = io.BytesIO()
    np.savez_compressed(
        file,
        row=rows.astype(np.int32),
        label=part.labels.cpu().numpy().astype(np.int8),
        probability=logits.double().softmax(1).numpy().astype(np.float16),
    )
    return file.getvalue()


def count_by_record(part: Part, logits: Tensor) -> dict[str, list[list[int]]]:
    """Return the (5, 5) confusion matrix of each record of a part, by the record's number.

    Args:
        part: of a split by patient, so that its records are known.
        logits: (n, 5) on the CPU.
    """
    assert part.record is not None
    return confusion_by_record(part.record, part.labels.cpu().numpy(), logits.argmax(1).numpy())
