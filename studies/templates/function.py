"""The objective of the study STUDY: a plain Optuna function. Put your own training into it."""

import optuna
import torch

x = torch.rand(512, 1, generator=torch.Generator().manual_seed(0)) * 6 - 3  # data: train on the first 384 rows,
y = torch.sin(2 * x)  # score the others


def train(trial):
    """Train once, with the parameters that `trial` suggests, and return the validation error."""
    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    width = trial.suggest_categorical("width", [4, 16, 64])
    torch.manual_seed(trial.user_attrs["seed"])  # the same trial again gives the same value
    net = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))
    optimizer = torch.optim.Adam(net.parameters(), learning_rate)
    for epoch in range(1, 11):
        for rows in torch.randperm(384).split(32):
            loss = torch.nn.functional.mse_loss(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            error = torch.nn.functional.mse_loss(net(x[384:]), y[384:]).item()
        trial.report(error, epoch)
        if trial.should_prune():  # early stopping
            raise optuna.TrialPruned
    return error
