"""The recurrent network of `lyrics_lstm`, and its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from objectives._data.lyrics import END
from objectives._dropout import Dropout
from objectives._output import linear_cross_entropy

WEIGHT_RANGE = 0.1  # of the embedding's initial weights (Zaremba et al.); sgd at a rate of 20 needs small ones

State = tuple[Tensor, Tensor, Tensor]  # the last tokens [width - 1, n], LSTM's hidden and cell [n_layers, n, hidden]


class Lstm(nn.Module):
    """Token numbers [length, n] and the state before them to logits [length, n, n_tokens] and the state after."""

    def __init__(self, params: Mapping[str, Any], n_tokens: int) -> None:
        super().__init__()
        size, n_layers, dropout = params["hidden_size"], params["n_layers"], params["dropout"]
        self.width = 1 if params["convolution"] == "none" else int(params["convolution"])
        self.embedding = nn.Embedding(n_tokens, size)
        nn.init.uniform_(self.embedding.weight, -WEIGHT_RANGE, WEIGHT_RANGE)
        self.convolution = nn.Conv1d(size, size, self.width) if self.width > 1 else None
        self.lstm = nn.LSTM(size, size, n_layers, dropout=dropout if n_layers > 1 else 0.0)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(size, n_tokens)
        nn.init.uniform_(self.output.weight, -WEIGHT_RANGE, WEIGHT_RANGE)
        nn.init.zeros_(self.output.bias)
        if params["tied"]:
            self.output.weight = self.embedding.weight

    def forward(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See the class. No state means the beginning of a text."""
        features, state = self.features(inputs, state)
        logits: Tensor = self.output(features)
        return logits, state

    def features(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Return what the last layer is given, [length, n, hidden_size], and the state after."""
        if state is None:
            before = inputs.new_full((self.width - 1, inputs.shape[1]), END)
            zeros = self.embedding.weight.new_zeros(self.lstm.num_layers, inputs.shape[1], self.lstm.hidden_size)
            state = (before, zeros, zeros)
        read = torch.cat([state[0], inputs])  # [width - 1 + length, n]
        features = self.dropout(self.embedding(read))
        if self.convolution is not None:  # over a token and those before it, not those after
            features = torch.relu(self.convolution(features.permute(1, 2, 0))).permute(2, 0, 1)
        features, (hidden, cell) = self.lstm(features, state[1:])
        return self.dropout(features), (read[len(inputs) :], hidden.detach(), cell.detach())


def total_nats(
    model: Lstm, inputs: Tensor, targets: Tensor, state: State | None, precision: str = "float32"
) -> tuple[Tensor, State]:
    """Return the log loss summed over the targets that count, [length, n], and the state after them.

    precision: of the factors of products; sums, weights and their updates are of float32.
    """
    dtype: torch.dtype = getattr(torch, precision)
    with torch.autocast(inputs.device.type, dtype, enabled=dtype is torch.bfloat16):
        features, state = model.features(inputs, state)
    output = model.output
    total = linear_cross_entropy(features.flatten(0, 1), output.weight, targets.flatten(), output.bias, dtype)
    return total, state
