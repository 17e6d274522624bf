"""What a trained trial keeps: its weights and predictions as files, and counts by record."""

import numpy as np
from safetensors.torch import save
from torch import Tensor

from ecg.inter_patient import confusion_by_record
from ecg.training import Part, TrainResult
from study.storage.predictions import Predictions, pack_predictions


def weights_file(result: TrainResult) -> bytes:
    """Return the weights of the best epoch as safetensors."""
    plain = {name: t.detach().cpu().contiguous() for name, t in result.weights.items()}
    return save(plain, {"epoch": str(result.best_epoch)})


def predictions_file(part: Part, logits: Tensor) -> bytes:
    """Return a network's predictions on a part as a file, see `study.storage.predictions`.

    Args:
        part: the beats that were predicted.
        logits: (n, 5) on the CPU.
    """
    rows = np.full(len(part), -1) if part.rows is None else part.rows
    return pack_predictions(
        Predictions(
            row=rows.astype(np.int32),
            label=part.labels.cpu().numpy().astype(np.int8),
            probability=logits.double().softmax(1).numpy().astype(np.float16),
        )
    )


def count_by_record(part: Part, logits: Tensor) -> dict[str, list[list[int]]]:
    """Return the (5, 5) confusion matrix of each record of a part, by record number.

    Args:
        part: a part of a split by patient, whose records are known.
        logits: (n, 5) on the CPU.
    """
    assert part.record is not None
    return confusion_by_record(part.record, part.labels.cpu().numpy(), logits.argmax(1).numpy())
