"""The objective of the study STUDY: a plain Optuna function. Put your own training into it."""

import optuna
import torch

from studies import checkpoints

x = torch.rand(512, 1, generator=torch.Generator().manual_seed(0)) * 6 - 3  # data: train on the first 384 rows,
y = torch.sin(2 * x)  # score the others


def train(trial):
    """Train once, with the parameters that `trial` suggests, and return the validation error."""
    learning_rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    width = trial.suggest_categorical("width", [4, 16, 64])
    seed = trial.user_attrs["seed"]  # the same trial again gives the same value
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Tanh(), torch.nn.Linear(width, 1))
    optimizer = torch.optim.Adam(net.parameters(), learning_rate)
    file, done = checkpoints(trial) / "last.pt", 0  # kept with the study: a trial that was paused or lost goes on
    if file.exists():
        state = torch.load(file, weights_only=True)
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["epoch"]
    for epoch in range(done + 1, 11):
        torch.manual_seed(seed + epoch)  # the order of the rows, whether or not it was paused
        for rows in torch.randperm(384).split(32):
            loss = torch.nn.functional.mse_loss(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, file)
        trial.report(validation_error(net), epoch)
        if trial.should_prune():  # early stopping
            raise optuna.TrialPruned
    return validation_error(net)


@torch.no_grad()
def validation_error(net):
    """Return the error on the rows that it is not trained on."""
    return torch.nn.functional.mse_loss(net(x[384:]), y[384:]).item()
